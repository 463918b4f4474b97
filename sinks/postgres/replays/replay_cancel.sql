-- Cancels the plan $1, so that its run stops; with $4 also a plan that is marked as sent.
UPDATE replay
SET state = 'cancelled', ended_by = $2, ended_because = $3, updated_at = now()
WHERE replay_id = $1 AND state <> 'cancelled' AND (state <> 'sent' OR $4::boolean)
RETURNING state
