-- Returns the current log of each of these partitions of Kafka, as stored by the group that has read furthest. A
-- provenance names no group, so an adoption of a log applies to all groups. Names that no release gives to a log are
-- ignored.
SELECT DISTINCT ON (n.topic, n.partition)
       o.topic, o.partition, o.next_offset, o.last_offset, o.last_digest, o.last_timestamp, o.cluster_id
FROM unnest($1::text[], $2::int[]) AS n (topic, partition)
JOIN stream_offset AS o ON split_part(o.topic, '#', 1) = n.topic AND o.partition = n.partition
    AND o.topic ~ '^[^#]+(#([2-9]|[1-9][0-9]{1,8}))?$'
ORDER BY n.topic, n.partition, length(o.topic) DESC, o.topic DESC, o.next_offset DESC
