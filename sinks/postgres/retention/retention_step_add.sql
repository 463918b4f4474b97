-- Stores a step of the plan $1.
INSERT INTO retention_step (plan_id, kind, keep, before, rows, bytes) VALUES ($1, $2, $3, $4, $5, $6)
