-- The keys from before $1, and their size in bytes.
SELECT count(*) AS rows, 70 * count(*) AS bytes FROM bridge_event_key WHERE received_at < $1
