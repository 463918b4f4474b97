-- The group's position in the current log of each of these partitions of Kafka, and the reason why the log is not read.
-- At most one row for each partition, since a worker's account may write any number of rows. Names that no release gives
-- to a log are ignored.
SELECT DISTINCT ON (n.topic, n.partition)
       n.topic, n.partition, o.next_offset, coalesce('paused by ' || p.paused_by || ': ' || p.reason, o.held) AS held
FROM unnest($2::text[], $3::int[]) AS n (topic, partition)
JOIN stream_offset AS o ON split_part(o.topic, '#', 1) = n.topic AND o.partition = n.partition
    AND o.topic ~ '^[^#]+(#([2-9]|[1-9][0-9]{1,8}))?$'
LEFT JOIN pause AS p ON p.kind = 'partition' AND p.target = n.topic || ':' || n.partition
WHERE o.group_id = $1
ORDER BY n.topic, n.partition, length(o.topic) DESC, o.topic DESC
