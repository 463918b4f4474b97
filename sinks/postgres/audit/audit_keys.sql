-- The number of all keys, and of the keys and events received since $1. No key that was received since $1 may have been
-- pruned.
SELECT (SELECT count(*) FROM bridge_event_key) AS keys,
       (SELECT count(*) FROM bridge_event_key WHERE received_at >= $1) AS keys_since,
       (SELECT count(*) FROM bridge_event WHERE received_at >= $1) AS events_since
