-- What each partition of the group has counted so far, and who settles it.
SELECT topic, partition, worker, normalized, retried, dropped
FROM stream_offset
WHERE group_id = $1
