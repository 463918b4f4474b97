-- Trips the breaker of group $1. A worker's trip has an effect only if the breaker is not open, and no operator has
-- released it.
INSERT INTO brake (group_id, engaged, changed_by, reason, details, by_hand) VALUES ($1, true, $2, $3, $4::jsonb, $5)
ON CONFLICT (group_id) DO UPDATE
SET engaged = true, by_hand = excluded.by_hand, changed_at = now(), changed_by = excluded.changed_by,
    reason = excluded.reason, details = excluded.details, probed_at = NULL, released_until = NULL
WHERE excluded.by_hand OR NOT (brake.engaged OR coalesce(brake.released_until > now(), false))
RETURNING true
