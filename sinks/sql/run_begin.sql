-- Notes who began which run, and when.
INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ($1, $2, $3, $4)
