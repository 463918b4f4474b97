-- The counts of these windows ($1 in minutes since the epoch), in the order of WindowKey and its counts.
SELECT n.minute, n.site_id, n.topic, n.partition, n.replay, w.normalized, w.retried, w.dropped_invalid_payload_json,
       w.dropped_schema_violation, w.dropped_duplicate_event_id, w.dropped_sink_rejected_row, w.dropped_retry_exhausted
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::int[], $5::bool[])
     AS n (minute, site_id, topic, partition, replay)
JOIN gate_window AS w ON w.window_start = to_timestamp(n.minute * 60) AND w.site_id = n.site_id AND w.topic = n.topic
     AND w.partition = n.partition AND w.replay = n.replay
