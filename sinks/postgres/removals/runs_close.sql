-- Removes the oldest runs that ended before $3, at most $4, and writes a closing entry. A run without an end was killed, and counts from its
-- beginning. $1 is the run, $2 the kind.
WITH gone AS (
    DELETE FROM script_run AS r
    WHERE r.run_id IN (
        SELECT o.run_id FROM script_run AS o WHERE coalesce(o.ended_at, o.started_at) < $3 ORDER BY o.started_at, o.run_id LIMIT $4
    )
    RETURNING r.run_id, r.script, r.exit_code, 200 + coalesce(octet_length(r.summary::text), 0) AS bytes
)
INSERT INTO removal (run_id, kind, rows, bytes, rows_digest)
SELECT $1, $2, count(*), sum(bytes), sha256(convert_to(string_agg(concat_ws(' ', run_id, script, exit_code), E'\n' ORDER BY run_id), 'UTF8'))
FROM gone
HAVING count(*) > 0
RETURNING rows, bytes
