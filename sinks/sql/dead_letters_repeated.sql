-- Events that were dropped more than once, the most often first, at most $1, and the script that the last drop names.
WITH often AS (
    SELECT l.site_id, l.event_id, count(*) AS drops, min(l.outcome_at) AS first_at, max(l.outcome_at) AS last_at
    FROM bridge_event_raw AS l
    WHERE /* conditions */ true AND l.event_id IS NOT NULL
    GROUP BY l.event_id, l.site_id
    HAVING count(*) > 1
    ORDER BY drops DESC, last_at DESC
    LIMIT $1
)
SELECT script.script_id, o.site_id, o.event_id, o.drops, o.first_at, o.last_at
FROM often AS o
LEFT JOIN LATERAL (
    SELECT d.script_id
    FROM bridge_event_raw AS d
    WHERE d.dropped_reason IS NOT NULL AND d.event_id = o.event_id AND d.outcome_at = o.last_at
      AND d.site_id IS NOT DISTINCT FROM o.site_id
    LIMIT 1
) AS script ON true
ORDER BY o.drops DESC, o.last_at DESC
