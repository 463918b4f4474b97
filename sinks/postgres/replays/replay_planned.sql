-- The plan $1 is complete: stores its size and the dry run's report.
UPDATE replay
SET planned = (SELECT count(*) FROM replay_item WHERE replay_id = $1), report = $2::jsonb, updated_at = now()
WHERE replay_id = $1
