-- The ledger's state of the given raw events and, if $4 is true, the bodies of waiting ones.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.retry_count, l.normalized, l.received_at, l.first_failed_at,
       l.disposition, l.replay_id::text AS replay_id, l.replayed_as, l.replay_of, l.sender, l.site_id, l.script_id, l.replay_digest,
       CASE WHEN $4 AND NOT l.normalized THEN l.record_key END AS record_key,
       CASE WHEN $4 AND NOT l.normalized THEN l.payload END AS payload,
       CASE WHEN $4 AND NOT l.normalized THEN l.headers END AS headers
FROM bridge_event_raw AS l
JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
     USING (raw_topic, raw_partition, raw_offset)
