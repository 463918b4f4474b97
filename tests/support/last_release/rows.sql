-- What an installation of the last release holds: a registry, tokens, a run that has ended and one that has not, a plan, an
-- event with its key, a dead letter, a window and an offset.
INSERT INTO org (org_id) VALUES (1);
INSERT INTO site (site_id, org_id) VALUES (3, 1);
INSERT INTO script (script_id, site_id, origins) VALUES ('shop', 3, '{https://shop.example}');
INSERT INTO script_token (key_id, script_id, digest, created_by) VALUES ('k1', 'shop', sha256('a'), 'me@host');
INSERT INTO api_token (key_id, name, digest, role, created_by) VALUES ('k2', 'ops', sha256('b'), 'admin', 'me@host');
INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, exit_code, summary)
VALUES ('r1', 'process', 'me@host', '2026-07-01T00:00:00Z', '2026-07-01T00:00:01Z', 0, '{}');
INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ('r2', 'dlq-replay', 'me@host', '2026-07-01T00:00:00Z');
INSERT INTO replay (replay_id, requested_by, filter, planned, state)
VALUES ('00000000-0000-7000-8000-000000000001', 'me@host', '{}', 1, 'planned');
INSERT INTO bridge_event_key (event_key, received_at) VALUES ('\x00112233445566778899aabbccddeeff', '2026-07-01T00:00:00Z');
INSERT INTO bridge_event_raw (
    raw_topic, raw_partition, raw_offset, site_id, script_id, event_id, payload, record_time, received_at, first_failed_at,
    last_error, error_class, normalized, dropped_reason, disposition)
VALUES ('bridge.raw', 0, 1, 3, 'shop', 'e1', '{bad', '2026-07-01T00:00:00Z', '2026-07-01T00:00:00Z',
        '2026-07-01T00:00:00Z', 'at byte 1', 'invalid_payload_json', true, 'invalid_payload_json', 'open');
INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, live, dropped)
VALUES ('ghostlink-bridge', 'bridge.raw', 0, 1, 2, 1, 1);
