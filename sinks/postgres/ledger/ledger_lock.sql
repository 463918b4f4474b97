-- The rows of ledger_read, locked. The order is the same for every caller, so that two commits can't deadlock.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.retry_count, l.normalized, l.received_at, l.first_failed_at,
       l.disposition, l.replay_id::text AS replay_id, l.replayed_as, l.replay_of, l.sender, l.site_id, l.script_id, l.replay_digest
FROM bridge_event_raw AS l
JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
     USING (raw_topic, raw_partition, raw_offset)
ORDER BY l.raw_topic, l.raw_partition, l.raw_offset
FOR UPDATE OF l
