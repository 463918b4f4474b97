-- The counts of each partition of the group so far, and the worker that commits it.
SELECT topic, partition, worker, normalized, retried, dropped
FROM stream_offset
WHERE group_id = $1
