-- The plan $1 is whole: its size, and what the dry run said.
UPDATE replay
SET planned = (SELECT count(*) FROM replay_item WHERE replay_id = $1), report = $2::jsonb, updated_at = now()
WHERE replay_id = $1
