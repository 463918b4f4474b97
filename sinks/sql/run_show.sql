-- One run whole.
SELECT run_id, script, started_by, started_at, ended_at, exit_code, summary FROM script_run WHERE run_id = $1
