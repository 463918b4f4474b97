-- The state of the plan, which may have been cancelled meanwhile.
SELECT state FROM replay WHERE replay_id = $1
