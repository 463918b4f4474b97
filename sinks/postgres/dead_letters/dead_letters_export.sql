-- Whole rows of the ledger, the earliest first: those after the cursor $1 to $4, up to the cursor $5 to $8. At most $9
-- rows, with at most $10 bytes of records together, but at least one row. Postgres returns the length of a value
-- without reading the value.
SELECT *
FROM (
    SELECT behind.*, row_number() OVER rows AS number,
           sum(
               coalesce(octet_length(record_key), 0) + coalesce(octet_length(payload), 0) + coalesce(octet_length(headers), 0)
           ) OVER rows AS bytes
    FROM (
        SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.outcome_at, l.dropped_reason, l.error_class, l.last_error,
               l.cause, l.retry_count, l.site_id, s.org_id, l.script_id, l.event_id, l.disposition, l.replay_of,
               l.replayed_as, l.sender, l.record_key, l.payload, l.headers, l.record_time, l.received_at,
               l.first_failed_at, l.next_retry_at, l.normalized, l.replay_id::text AS replay_id, l.discarded_by,
               l.updated_at,
               CASE WHEN l.site_id IS NULL OR l.script_id IS NULL THEN substring(l.payload, 1, 4096) END AS beginning
        FROM bridge_event_raw AS l
        LEFT JOIN site AS s USING (site_id)
        WHERE /* conditions */ true
          AND (l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset)
              > ($1::timestamptz, $2::text, $3::int, $4::bigint)
          AND (l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset)
              <= ($5::timestamptz, $6::text, $7::int, $8::bigint)
        ORDER BY l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset
        LIMIT $9
    ) AS behind
    WINDOW rows AS (ORDER BY outcome_at, raw_topic, raw_partition, raw_offset)
) AS counted
WHERE bytes <= $10::bigint OR number = 1
ORDER BY outcome_at, raw_topic, raw_partition, raw_offset
