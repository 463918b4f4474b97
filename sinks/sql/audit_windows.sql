-- What the gate windows count, by the partition that carried the attempts.
SELECT topic, partition,
       sum(normalized)::bigint AS normalized,
       sum(retried)::bigint AS retried,
       sum(dropped)::bigint AS dropped,
       sum(dropped_invalid_payload_json)::bigint AS invalid_payload_json,
       sum(dropped_schema_violation)::bigint AS schema_violation,
       sum(dropped_duplicate_event_id)::bigint AS duplicate_event_id,
       sum(dropped_sink_rejected_row)::bigint AS sink_rejected_row,
       sum(dropped_retry_exhausted)::bigint AS retry_exhausted
FROM gate_window
GROUP BY topic, partition
ORDER BY topic, partition
