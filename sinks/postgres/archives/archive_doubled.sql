-- A raw event of the month from $1 until $2 that has more than one row, one of them of this transaction; no row without one.
SELECT raw_topic, raw_partition, raw_offset
FROM bridge_event
WHERE received_at >= $1 AND received_at < $2
GROUP BY raw_topic, raw_partition, raw_offset
HAVING count(*) > 1 AND bool_or(xmin = pg_current_xact_id()::xid)
LIMIT 1
