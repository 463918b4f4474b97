-- Tells whoever runs the plan $1 to stop, for good; also where it says that all was sent, if $4.
UPDATE replay
SET state = 'cancelled', ended_by = $2, ended_because = $3, updated_at = now()
WHERE replay_id = $1 AND state <> 'cancelled' AND (state <> 'sent' OR $4::boolean)
RETURNING state
