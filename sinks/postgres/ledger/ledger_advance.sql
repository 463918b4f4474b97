-- Changes the state of events whose attempt k failed: if a next retry is due later, they wait for it, else they are
-- dropped. The first attempt has set the event's identity, unless its sender class was unknown then.
UPDATE bridge_event_raw AS l
SET retry_count = n.retry_count, next_retry_at = n.next_retry_at, last_error = n.last_error,
    error_class = n.error_class, normalized = n.dropped_reason IS NOT NULL, dropped_reason = n.dropped_reason,
    disposition = CASE WHEN n.dropped_reason IS NOT NULL AND n.dropped_reason <> 'duplicate_event_id' THEN 'open' END,
    sender = coalesce(l.sender, n.sender),
    site_id = CASE WHEN l.sender IS NULL THEN n.site_id ELSE l.site_id END,
    script_id = CASE WHEN l.sender IS NULL THEN n.script_id ELSE l.script_id END,
    outcome_at = now(), updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::bigint[], $11::text[])
     AS n (raw_topic, raw_partition, raw_offset, retry_count, next_retry_at, last_error, error_class, dropped_reason,
           sender, site_id, script_id)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
