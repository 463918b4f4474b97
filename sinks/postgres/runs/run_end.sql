-- Records the end of a run, even if its beginning could not be recorded.
INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, exit_code, summary)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)
ON CONFLICT (run_id) DO UPDATE SET ended_at = excluded.ended_at, exit_code = excluded.exit_code, summary = excluded.summary
