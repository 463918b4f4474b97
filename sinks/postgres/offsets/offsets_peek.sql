-- The stored offsets, without a lock.
SELECT o.topic, o.partition, o.next_offset
FROM stream_offset AS o
JOIN unnest($2::text[], $3::int[]) AS n (topic, partition) USING (topic, partition)
WHERE o.group_id = $1
