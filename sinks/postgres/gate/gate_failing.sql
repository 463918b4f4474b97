-- The targets whose current verdict is a fail, the total first, and the time of the verdict. Of unregistered sites, at
-- least the 1000 that failed first are returned.
SELECT target, changed_at
FROM (
    SELECT target, changed_at FROM gate_state
    WHERE NOT passed
    ORDER BY target NOT IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total')), changed_at, target
    LIMIT (SELECT count(*) + 1002 FROM site)
) AS evaluated
ORDER BY target <> 'total', changed_at, target
