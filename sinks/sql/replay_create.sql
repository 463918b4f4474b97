-- A new plan of nothing yet.
INSERT INTO replay (replay_id, requested_by, reason, filter, corrections, planned, state)
VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, 0, 'planned')
