-- One whole row of the ledger. If the conditions are not inserted, it is any dropped event.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.outcome_at, l.dropped_reason, l.error_class, l.last_error, l.cause,
       l.retry_count, l.site_id, s.org_id, l.script_id, l.event_id, l.disposition, l.replay_of, l.replayed_as, l.sender,
       l.record_key, l.payload, l.headers, l.record_time, l.received_at, l.first_failed_at, l.next_retry_at, l.normalized,
       l.replay_id::text AS replay_id, l.discarded_by, l.updated_at,
       CASE WHEN l.site_id IS NULL OR l.script_id IS NULL THEN substring(l.payload, 1, 4096) END AS beginning
FROM bridge_event_raw AS l
LEFT JOIN site AS s USING (site_id)
WHERE /* conditions */ true
