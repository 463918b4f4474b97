-- The number of events received before $1, and their size in bytes.
SELECT count(*) AS rows, coalesce(sum(pg_column_size(e.*)), 0)::bigint AS bytes FROM bridge_event AS e WHERE received_at < $1
