-- Locks the plan $1 and all plans of the organisation $2 (null: of the whole installation) that run, until the
-- transaction ends: one of their runs at a time claims items. The order is the same for every caller.
SELECT replay_id = $1 AS own, state
FROM replay
WHERE replay_id = $1 OR state = 'running' AND org_id IS NOT DISTINCT FROM $2
ORDER BY replay_id
FOR UPDATE
