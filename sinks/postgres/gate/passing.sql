-- Whose events became rows lately, in any process.
-- window: the sites with rows in a minute that overlaps the last $1 seconds, at most $2 of them. Replays don't count.
-- day: sites of up to two owners with rows that were received within a day.
-- quiet: whether events of group $3 became rows within the last $4 seconds.
(SELECT DISTINCT 'window' AS within, site_id FROM gate_window
 WHERE window_start > now() - ($1 + 60) * interval '1 second' AND normalized > 0 AND NOT replay
 LIMIT $2)
UNION ALL
SELECT 'day', site_id FROM sites_sending()
UNION ALL
SELECT 'quiet', 0
WHERE (SELECT max(persisted_at) FROM stream_offset WHERE group_id = $3) > now() - $4 * interval '1 second'
