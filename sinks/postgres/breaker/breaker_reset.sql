-- Resets the breaker of group $1 because a probe passed. A breaker that an operator tripped stays open.
UPDATE brake
SET engaged = false, changed_at = now(), changed_by = $2, reason = 'a probe passed'
WHERE group_id = $1 AND engaged AND NOT by_hand
RETURNING reason
