-- At most 1000 changes that are not known to be published, those of registered sites and the total first, and then the
-- oldest. A change that is longer than any evaluation writes is returned empty.
SELECT target, passed, change_id::text AS change_id, changed_at,
       CASE WHEN octet_length(change::text) <= 10000 THEN change ELSE '{}' END AS change
FROM gate_state
WHERE NOT published
ORDER BY target NOT IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total')), changed_at
LIMIT 1000
