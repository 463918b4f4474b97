-- Stores the items of the plan $1: the matching dead letters, at most $2, in the order in which they were received.
INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)
SELECT $1::uuid, row_number() OVER (ORDER BY l.received_at, l.raw_topic, l.raw_partition, l.raw_offset),
       l.raw_topic, l.raw_partition, l.raw_offset, 'passes'
FROM bridge_event_raw AS l
WHERE /* conditions */ true
ORDER BY l.received_at, l.raw_topic, l.raw_partition, l.raw_offset
LIMIT $2
