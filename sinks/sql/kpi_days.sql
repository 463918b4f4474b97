-- Finished events of each of the last $1 days, of the site $2 if it is given; replays apart.
SELECT (window_start AT TIME ZONE 'UTC')::date AS day, (sum(processed) - sum(retried))::bigint AS finished,
       sum(normalized)::bigint AS normalized, sum(retried)::bigint AS retried, sum(dropped)::bigint AS dropped,
       sum(dropped_invalid_payload_json)::bigint AS invalid_payload_json,
       sum(dropped_schema_violation)::bigint AS schema_violation,
       sum(dropped_duplicate_event_id)::bigint AS duplicate_event_id,
       sum(dropped_sink_rejected_row)::bigint AS sink_rejected_row,
       sum(dropped_retry_exhausted)::bigint AS retry_exhausted
FROM gate_window
WHERE NOT replay AND window_start >= date_trunc('day', now(), 'UTC') - make_interval(days => $1::int - 1)
  AND ($2::bigint IS NULL OR site_id = $2)
GROUP BY 1 ORDER BY 1
