-- How the run of the plan $1 ended; a plan that was cancelled stays so.
UPDATE replay
SET state = CASE WHEN state = 'cancelled' THEN state ELSE $2 END,
    ended_by = CASE WHEN state = 'cancelled' THEN ended_by ELSE $3 END,
    ended_because = CASE WHEN state = 'cancelled' THEN ended_because ELSE $4 END,
    updated_at = now()
WHERE replay_id = $1
