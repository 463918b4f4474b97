-- Sets the time at which copies were published again. The events count as due from then on, and may become overdue
-- again.
UPDATE bridge_event_raw AS l
SET next_retry_at = $5, updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::int[]) AS n (raw_topic, raw_partition, raw_offset, retry_count)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
  AND NOT l.normalized AND l.retry_count = n.retry_count
