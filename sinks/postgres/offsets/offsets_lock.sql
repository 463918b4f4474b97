-- The stored offsets, locked. The order is the same for every caller, so that two commits can't deadlock.
SELECT o.topic, o.partition, o.next_offset
FROM stream_offset AS o
JOIN unnest($2::text[], $3::int[]) AS n (topic, partition) USING (topic, partition)
WHERE o.group_id = $1
ORDER BY o.topic, o.partition
FOR UPDATE OF o
