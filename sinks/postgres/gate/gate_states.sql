-- The current verdicts of the targets $1, and those of other targets that are a fail. Of unregistered sites, at least the
-- 1000 that failed first are among the latter.
SELECT target, passed FROM gate_state WHERE target = ANY ($1::text[])
UNION
(
    SELECT target, passed FROM gate_state
    WHERE NOT passed
    ORDER BY target NOT IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total')), changed_at, target
    LIMIT (SELECT count(*) + 1002 FROM site)
)
