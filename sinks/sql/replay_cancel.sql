-- Tells whoever runs the plan $1 to stop, for good.
UPDATE replay
SET state = 'cancelled', ended_by = $2, ended_because = $3, updated_at = now()
WHERE replay_id = $1 AND state NOT IN ('cancelled', 'sent')
RETURNING state
