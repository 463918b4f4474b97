-- Leaves out of the plan $1 what would not pass.
DELETE FROM replay_item WHERE replay_id = $1 AND forecast <> 'passes'
