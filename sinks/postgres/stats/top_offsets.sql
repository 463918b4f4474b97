-- The counts of each partition of the group so far, and the worker that commits it: at most $3 logs, those of the topics
-- $2 first, since a worker's account may write any number of rows.
SELECT topic, partition, worker, normalized, retried, dropped
FROM stream_offset
WHERE group_id = $1
ORDER BY split_part(topic, '#', 1) <> ALL ($2::text[]), partition, updated_at DESC
LIMIT $3
