-- Completes the plan $1: stores its size, and the report of its dry run.
UPDATE replay
SET planned = (SELECT count(*) FROM replay_item WHERE replay_id = $1), report = $2::jsonb, updated_at = now()
WHERE replay_id = $1
