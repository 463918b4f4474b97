-- The counts of the gate windows, by the partition whose record had the attempt. At most $2 partitions, those of the
-- topics $1 first, since a worker's account may write any number of rows.
SELECT topic, partition,
       saturated(sum(normalized)) AS normalized,
       saturated(sum(retried)) AS retried,
       saturated(sum(dropped)) AS dropped,
       saturated(sum(dropped_invalid_payload_json)) AS invalid_payload_json,
       saturated(sum(dropped_schema_violation)) AS schema_violation,
       saturated(sum(dropped_duplicate_event_id)) AS duplicate_event_id,
       saturated(sum(dropped_sink_rejected_row)) AS sink_rejected_row,
       saturated(sum(dropped_retry_exhausted)) AS retry_exhausted
FROM gate_window
GROUP BY topic, partition
ORDER BY split_part(topic, '#', 1) <> ALL ($1::text[]), partition, topic
LIMIT $2
