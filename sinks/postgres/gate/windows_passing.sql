-- The sites whose events became rows within the last $1 seconds, at most $2 of them. Replays don't count.
SELECT DISTINCT site_id FROM gate_window
WHERE window_start > now() - $1 * interval '1 second' AND normalized > 0 AND NOT replay
LIMIT $2
