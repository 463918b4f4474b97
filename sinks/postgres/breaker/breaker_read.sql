-- The breaker of group $1. Without a row the breaker has never been used.
SELECT engaged, coalesce(released_until > now(), false) AS released, by_hand, changed_at, changed_by, reason, details,
       probed_at, released_until
FROM brake
WHERE group_id = $1
