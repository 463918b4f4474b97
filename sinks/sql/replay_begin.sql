-- A run takes the plan up, unless it was cancelled.
UPDATE replay
SET state = 'running', ended_by = '', ended_because = '', updated_at = now()
WHERE replay_id = $1 AND state <> 'cancelled'
RETURNING state
