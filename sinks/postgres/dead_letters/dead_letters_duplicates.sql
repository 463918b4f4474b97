-- The number of duplicates by script and site, the most frequent first, at most $1 rows. Each row also has the number
-- of all duplicates, and of those that a replay sent.
SELECT l.script_id, l.site_id, count(*) AS duplicates, count(*) OVER () AS scripts, (sum(count(*)) OVER ())::bigint AS total,
       (sum(count(*) FILTER (WHERE l.replay_of IS NOT NULL)) OVER ())::bigint AS replays
FROM bridge_event_raw AS l
WHERE /* conditions */ true AND l.dropped_reason = 'duplicate_event_id'
GROUP BY l.script_id, l.site_id
ORDER BY duplicates DESC, l.script_id, l.site_id
LIMIT $1
