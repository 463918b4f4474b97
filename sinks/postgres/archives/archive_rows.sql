-- The events received from $1 until $2, by hour, in the order of their places. The columns are made from the catalogue, and are never user input.
SELECT %(selected)s
FROM bridge_event
WHERE received_at >= $1 AND received_at < $2
ORDER BY date_bin('1 hour', received_at, '2000-01-01 00:00+00'), raw_topic COLLATE "C", raw_partition, raw_offset
