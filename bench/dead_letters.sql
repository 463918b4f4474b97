-- $1 open dead letters of 12 causes over the last 30 days, a tenth as many duplicates, and a twentieth as many
-- discarded. Some are committed alone, most with others of their batch. Causes, sites and scripts are distributed as
-- unevenly as in production.
WITH template (cause, reason, error_class, retries, message) AS (
    VALUES (0, 'schema_violation', 'schema_violation', 0, 'event_type: String should have at least 1 character'),
           (1, 'invalid_payload_json', 'invalid_payload_json', 0, 'Expecting value at character %s'),
           (2, 'retry_exhausted', 'unknown_script', 3, 'script ''widget-%s'' is not registered'),
           (3, 'schema_violation', 'schema_violation', 0, 'occurred_at: %s days before it was received, more than 7'),
           (4, 'schema_violation', 'schema_violation', 0, 'site_id: script ''shop-%s'' is not of site %s'),
           (5, 'retry_exhausted', 'unsupported_schema_version', 3, 'schema_version %s is not known here; known: 1, 2'),
           (6, 'invalid_payload_json', 'invalid_payload_json', 0, 'not UTF-8 at byte %s'),
           (7, 'schema_violation', 'schema_violation', 0, 'currency: String should match pattern ''^[A-Z]{3}$'' (and %s more)'),
           (8, 'sink_rejected_row', 'sink_rejected_row', 0, E'writing events: CheckViolationError: new row for relation "bridge_event_2026_11" violates check constraint "amount_sane"\nDETAIL:  Failing row contains (%s).'),
           (9, 'invalid_payload_json', 'invalid_payload_json', 0, '%s bytes, more than 65536'),
           (10, 'retry_exhausted', 'unknown_gateway_key', 3, 'no key 7f3a-%s of a gateway is known here'),
           (11, 'schema_violation', 'schema_violation', 0, 'value: Input should be a finite number, got ''%s''')
), drawn AS (
    SELECT n, floor(12 * power(random(), 2))::int AS cause, 1 + floor(40 * power(random(), 2))::int AS site,
           (n * 7919::bigint) % 997 AS anything
    FROM generate_series(1, ($1 * 1.15)::int) AS n
), settled AS (
    SELECT d.n, d.site, d.anything, t.*, format(t.message, VARIADIC array_fill(d.anything::text, ARRAY[2])) AS error,
           now() - interval '30 days' * (1 - (n - n % (CASE WHEN n / 1000 % 4 = 0 THEN 1 ELSE 40 END)) / ($1 * 1.15)) AS at,
           n % 23 < 2 AS doubled, n % 23 = 2 AS closed
    FROM drawn AS d JOIN template AS t USING (cause)
)
INSERT INTO bridge_event_raw (
    raw_topic, raw_partition, raw_offset, site_id, script_id, event_id, record_key, payload, headers, record_time,
    received_at, retry_count, first_failed_at, last_error, error_class, normalized, dropped_reason, disposition,
    created_at, updated_at, outcome_at
)
SELECT 'bridge.raw', n % 12, n / 12, CASE WHEN cause <> 6 THEN site END, 'script-' || site || '-' || n % 3,
       CASE WHEN doubled THEN 'again-' || n % 500 WHEN n % 100 = 0 THEN 'again-' || n % 700 ELSE gen_random_uuid()::text END,
       convert_to(site || ':' || n, 'UTF8'),
       CASE WHEN NOT doubled THEN convert_to(format('{"event_id": "%s", "site_id": %s, "properties": {"text": "%s"}}', n, site,
                                                    repeat(md5(n::text), 10)), 'UTF8') END,
       NULL, at, at, retries, at, error, CASE WHEN doubled THEN 'duplicate_event_id' ELSE error_class END, true,
       CASE WHEN doubled THEN 'duplicate_event_id' ELSE reason END,
       CASE WHEN doubled THEN NULL WHEN closed THEN 'discarded' ELSE 'open' END, at, at, at
FROM settled
ORDER BY n
