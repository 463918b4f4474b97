-- Raw events whose next attempt is due at $1, the longest due first: of the sites $2, the organisations $3 and the raw
-- partitions $4; null means no limit.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.site_id, l.retry_count, l.record_key, l.payload, l.headers,
       l.received_at, l.first_failed_at, l.error_class, l.last_error
FROM bridge_event_raw AS l
LEFT JOIN site AS s USING (site_id)
WHERE NOT l.normalized AND l.next_retry_at <= $1
  AND ($2::bigint[] IS NULL OR l.site_id = ANY ($2::bigint[]))
  AND ($3::bigint[] IS NULL OR s.org_id = ANY ($3::bigint[]))
  AND ($4::int[] IS NULL OR l.raw_partition = ANY ($4::int[]))
ORDER BY l.next_retry_at, l.raw_topic, l.raw_partition, l.raw_offset
LIMIT $5
