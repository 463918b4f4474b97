-- The events that closing entries account for by archive, of the archives whose names begin with $1; 0 once they were brought back.
SELECT archived_as, raw_topic AS topic, raw_partition AS partition, sum(events)::bigint AS events
FROM removal
WHERE starts_with(archived_as, $1)
GROUP BY archived_as, raw_topic, raw_partition
ORDER BY archived_as, raw_topic, raw_partition
