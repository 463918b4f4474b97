-- Changes the state from waiting to healed: the retry has normalised, and this transaction writes its event row.
UPDATE bridge_event_raw AS l
SET normalized = true, next_retry_at = NULL, outcome_at = now(), updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
