-- Adds a plan without items.
INSERT INTO replay (replay_id, requested_by, reason, filter, corrections, planned, state, org_id)
VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, 0, 'planned', $6)
