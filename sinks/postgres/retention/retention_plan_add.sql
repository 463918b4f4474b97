-- Stores a plan of retention.
INSERT INTO retention_plan (plan_id, created_at, created_by, run_id) VALUES ($1, $2, $3, $4)
