-- Whether somebody has cancelled the plan meanwhile.
SELECT state FROM replay WHERE replay_id = $1
