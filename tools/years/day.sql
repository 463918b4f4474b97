-- Commits a simulated day that begins at $1, the day number $2 (from 0), to $3 partitions, as workers would: $4 records in each, and the windows
-- of $5 sites. Of sixteen records, one heals at a retry, one is a duplicate, one is dropped and discarded, and one is dropped and stays open in the
-- first partition. The others become rows at their first attempt. One more healed event in the retry partition makes its second attempt.
WITH record AS MATERIALIZED (
    SELECT p AS partition, $2::bigint * $4 + n AS place, CASE WHEN n % 16 < 3 OR n % 16 = 3 AND p = 0 THEN n % 16 ELSE 9 END AS kind,
           $1::timestamptz + n * interval '24 hours' / $4 AS at
    FROM generate_series(0, $3::int - 1) AS p, generate_series(0, $4::int - 1) AS n
), event AS (
    INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties, schema_version, raw_topic,
                              raw_partition, raw_offset, attempt)
    SELECT at, at, 1 + place % $5, 's', partition || '-' || place, 'click', '{}', 1, 'bridge.raw', partition, place, CASE kind WHEN 0 THEN 2 ELSE 1 END
    FROM record WHERE kind IN (0, 9)
), key AS (
    INSERT INTO bridge_event_key (event_key, received_at, sender)
    SELECT decode(md5(partition || '-' || place), 'hex'), at, 'server' FROM record WHERE kind IN (0, 9)
), ledger AS (
    INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, site_id, script_id, event_id, record_key, payload, record_time, received_at,
                                  retry_count, first_failed_at, last_error, error_class, normalized, dropped_reason, disposition, sender,
                                  outcome_at, created_at, updated_at)
    SELECT 'bridge.raw', partition, place, 1, 's', partition || '-' || place, 'k', CASE WHEN kind <> 1 THEN convert_to(repeat('x', 700), 'UTF8') END,
           at, at, CASE kind WHEN 0 THEN 1 ELSE 0 END, at, 'it failed', 'schema_violation', true,
           CASE kind WHEN 0 THEN NULL WHEN 1 THEN 'duplicate_event_id' ELSE 'schema_violation' END,
           CASE kind WHEN 2 THEN 'discarded' WHEN 3 THEN 'open' END, 'server', at, at, at
    FROM record WHERE kind < 9
), raw AS (
    SELECT 'bridge.raw' AS topic, partition, count(*) AS live, count(*) FILTER (WHERE kind = 9) AS normalized,
           count(*) FILTER (WHERE kind = 0) AS retried, count(*) FILTER (WHERE kind = 1) AS duplicates,
           count(*) FILTER (WHERE kind IN (2, 3)) AS violations
    FROM record GROUP BY partition
), source AS (
    SELECT * FROM raw UNION ALL
    SELECT 'bridge.retry.15s', partition, retried, retried, 0, 0, 0 FROM raw
), total AS (
    INSERT INTO stream_offset AS o (group_id, topic, partition, base_offset, next_offset, live, normalized, retried, dropped)
    SELECT 'ghostlink-bridge', topic, partition, 0, live, live, normalized, retried, duplicates + violations FROM source
    ON CONFLICT (group_id, topic, partition) DO UPDATE
    SET next_offset = o.next_offset + excluded.live, live = o.live + excluded.live, normalized = o.normalized + excluded.normalized,
        retried = o.retried + excluded.retried, dropped = o.dropped + excluded.dropped
), run AS (
    INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, exit_code)
    SELECT to_char($1::timestamptz + hour * interval '1 hour', 'YYYYMMDDHH24'), 'process', 'x', $1::timestamptz + hour * interval '1 hour',
           $1::timestamptz + hour * interval '1 hour', 0
    FROM generate_series(0, 23) AS hour
)
-- The first minute has the day's counts. A real window has some in each minute, and is as large.
INSERT INTO gate_window
SELECT $1::timestamptz + minute * interval '1 minute', site, s.topic, s.partition, false,
       CASE WHEN minute + site = 1 THEN s.live ELSE 0 END, CASE WHEN minute + site = 1 THEN s.normalized ELSE 0 END,
       CASE WHEN minute + site = 1 THEN s.retried ELSE 0 END, CASE WHEN minute + site = 1 THEN s.duplicates + s.violations ELSE 0 END,
       0, CASE WHEN minute + site = 1 THEN s.violations ELSE 0 END, CASE WHEN minute + site = 1 THEN s.duplicates ELSE 0 END, 0, 0
FROM source AS s, generate_series(1, $5::int) AS site, generate_series(0, 1439) AS minute
WHERE s.partition = 0 AND s.topic = 'bridge.raw' OR site = 1 AND minute = 0
