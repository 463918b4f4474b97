-- Records the beginning of a run. Inserts no row if a run with that id exists already.
INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ($1, $2, $3, $4)
ON CONFLICT ON CONSTRAINT script_run_pkey DO NOTHING
