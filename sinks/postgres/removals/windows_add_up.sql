-- Adds the windows of fewer than $5 minutes from $3 until $4 of the sites up to $6 up to one for each site, partition and
-- kind of sender, and writes a closing entry for those that are gone. The sums stay the same, except for one beyond what a
-- window may have: only a forged row has such counts. $1 is the run, $2 the kind.
WITH gone AS (
    DELETE FROM gate_window WHERE window_start >= $3 AND window_start < $4 AND minutes < $5 AND site_id <= $6
    RETURNING *
), added AS (
    INSERT INTO gate_window AS w (
        window_start, site_id, topic, partition, replay, processed, normalized, retried, dropped, dropped_invalid_payload_json,
        dropped_schema_violation, dropped_duplicate_event_id, dropped_sink_rejected_row, dropped_retry_exhausted, minutes)
    SELECT $3, site_id, topic, partition, replay, window_count(sum(processed)), window_count(sum(normalized)),
           window_count(sum(retried)), window_count(sum(dropped)), window_count(sum(dropped_invalid_payload_json)),
           window_count(sum(dropped_schema_violation)), window_count(sum(dropped_duplicate_event_id)),
           window_count(sum(dropped_sink_rejected_row)), window_count(sum(dropped_retry_exhausted)), $5
    FROM gone
    GROUP BY site_id, topic, partition, replay
    ORDER BY site_id, topic, partition, replay
    ON CONFLICT (window_start, site_id, topic, partition, replay) DO UPDATE
    SET processed = window_count(w.processed + excluded.processed),
        normalized = window_count(w.normalized + excluded.normalized),
        retried = window_count(w.retried + excluded.retried),
        dropped = window_count(w.dropped + excluded.dropped),
        dropped_invalid_payload_json = window_count(w.dropped_invalid_payload_json + excluded.dropped_invalid_payload_json),
        dropped_schema_violation = window_count(w.dropped_schema_violation + excluded.dropped_schema_violation),
        dropped_duplicate_event_id = window_count(w.dropped_duplicate_event_id + excluded.dropped_duplicate_event_id),
        dropped_sink_rejected_row = window_count(w.dropped_sink_rejected_row + excluded.dropped_sink_rejected_row),
        dropped_retry_exhausted = window_count(w.dropped_retry_exhausted + excluded.dropped_retry_exhausted),
        minutes = greatest(w.minutes, excluded.minutes)
    RETURNING 1
)
INSERT INTO removal (run_id, kind, rows, bytes, rows_digest)
SELECT $1, $2, count(*), 150 * count(*),
       sha256(convert_to(string_agg(
           concat_ws(' ', extract(epoch FROM window_start), site_id, topic, partition, replay, processed, normalized, retried, dropped), E'\n'
           ORDER BY window_start, site_id, topic, partition, replay), 'UTF8'))
FROM gone
HAVING count(*) > 0
RETURNING rows - (SELECT count(*) FROM added) AS rows, bytes - 150 * (SELECT count(*) FROM added) AS bytes
