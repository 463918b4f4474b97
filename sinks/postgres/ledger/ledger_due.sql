-- Raw events whose next attempt is due at $1, the longest due first: of the sites $2, the organisations $3 and the raw
-- partitions $4; null means no limit. At most $5 events with at most $6 bytes together, but at least one event.
SELECT raw_topic, raw_partition, raw_offset, site_id, retry_count, record_key, payload, headers,
       received_at, first_failed_at, error_class, last_error
FROM (
    SELECT one.*, row_number() OVER due AS number,
           sum(coalesce(octet_length(one.payload), 0) + coalesce(octet_length(one.headers), 0)
               + coalesce(octet_length(one.record_key), 0)) OVER due AS bytes
    FROM (
        SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.site_id, l.retry_count, l.record_key, l.payload, l.headers,
               l.received_at, l.first_failed_at, l.error_class, l.last_error, l.next_retry_at
        FROM bridge_event_raw AS l
        LEFT JOIN site AS s USING (site_id)
        WHERE NOT l.normalized AND l.next_retry_at <= $1
          AND ($2::bigint[] IS NULL OR l.site_id = ANY ($2::bigint[]))
          AND ($3::bigint[] IS NULL OR s.org_id = ANY ($3::bigint[]))
          AND ($4::int[] IS NULL OR l.raw_partition = ANY ($4::int[]))
        ORDER BY l.next_retry_at, l.raw_topic, l.raw_partition, l.raw_offset
        LIMIT $5
    ) AS one
    WINDOW due AS (ORDER BY one.next_retry_at, one.raw_topic, one.raw_partition, one.raw_offset)
) AS counted
WHERE bytes <= $6::bigint OR number = 1
ORDER BY number
