-- The newest runs, of the script $1 if it is given.
SELECT run_id, script, started_by, started_at, ended_at, exit_code, summary, written_by
FROM script_run WHERE ($1::text IS NULL OR script = $1) ORDER BY started_at DESC, run_id DESC LIMIT $2
