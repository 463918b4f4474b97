-- Lets dead letters of group $1 pass for $2 seconds, however large their share is. The breaker may trip again after
-- that.
INSERT INTO brake (group_id, engaged, changed_by, reason, released_until)
VALUES ($1, false, $3, $4, now() + make_interval(secs => $2))
ON CONFLICT (group_id) DO UPDATE
SET engaged = false, by_hand = false, changed_at = now(), changed_by = excluded.changed_by, reason = excluded.reason,
    probed_at = NULL, released_until = excluded.released_until
