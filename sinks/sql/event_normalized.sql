-- When and at which attempt a raw event of that `received_at` became an event, if it did.
SELECT normalized_at, attempt
FROM bridge_event
WHERE received_at = $1 AND raw_topic = $2 AND raw_partition = $3 AND raw_offset = $4
