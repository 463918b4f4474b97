-- The runs whose id begins with $1, all columns, the newest first; at most $2.
SELECT run_id, script, started_by, started_at, ended_at, exit_code, summary, written_by FROM script_run WHERE starts_with(run_id, $1)
ORDER BY run_id = $1 DESC, started_at DESC
LIMIT $2
