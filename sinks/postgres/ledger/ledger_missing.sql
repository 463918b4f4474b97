-- The given raw events that are not dropped in the ledger.
SELECT n.raw_topic, n.raw_partition, n.raw_offset
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
WHERE NOT EXISTS (
    SELECT FROM bridge_event_raw AS l
    WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
      AND l.dropped_reason IS NOT NULL
)
