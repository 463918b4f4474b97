-- Adds the batch's outcomes to their gate windows. A window that would exceed its limit was not counted by a worker, and
-- stays as it is: a refused window would stop the commits of its minute. The audit shows what is missing.
INSERT INTO gate_window AS w (
    window_start, site_id, topic, partition, replay, processed, normalized, retried, dropped,
    dropped_invalid_payload_json, dropped_schema_violation, dropped_duplicate_event_id,
    dropped_sink_rejected_row, dropped_retry_exhausted)
SELECT to_timestamp(minute * 60), site_id, topic, partition, replay,
       normalized + retried + invalid + violation + duplicate + rejected + exhausted, normalized, retried,
       invalid + violation + duplicate + rejected + exhausted, invalid, violation, duplicate, rejected, exhausted
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bool[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
     AS n (minute, site_id, topic, partition, replay, normalized, retried,
           invalid, violation, duplicate, rejected, exhausted)
ORDER BY minute, site_id, topic, partition, replay
ON CONFLICT (window_start, site_id, topic, partition, replay) DO UPDATE
SET processed = w.processed + excluded.processed, normalized = w.normalized + excluded.normalized,
    retried = w.retried + excluded.retried, dropped = w.dropped + excluded.dropped,
    dropped_invalid_payload_json = w.dropped_invalid_payload_json + excluded.dropped_invalid_payload_json,
    dropped_schema_violation = w.dropped_schema_violation + excluded.dropped_schema_violation,
    dropped_duplicate_event_id = w.dropped_duplicate_event_id + excluded.dropped_duplicate_event_id,
    dropped_sink_rejected_row = w.dropped_sink_rejected_row + excluded.dropped_sink_rejected_row,
    dropped_retry_exhausted = w.dropped_retry_exhausted + excluded.dropped_retry_exhausted
WHERE greatest(w.processed, w.normalized, w.retried, w.dropped, w.dropped_invalid_payload_json,
               w.dropped_schema_violation, w.dropped_duplicate_event_id, w.dropped_sink_rejected_row,
               w.dropped_retry_exhausted) <= 1000000000000 - excluded.processed
