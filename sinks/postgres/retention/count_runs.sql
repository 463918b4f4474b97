-- The runs that ended before $1, and their size in bytes. A run without an end was killed, and counts from its beginning.
SELECT count(*) AS rows, coalesce(sum(200 + coalesce(octet_length(summary::text), 0)), 0)::bigint AS bytes
FROM script_run
WHERE coalesce(ended_at, started_at) < $1
