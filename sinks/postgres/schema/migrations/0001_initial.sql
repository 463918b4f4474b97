-- The registry, the events and their keys, the ledger, the gate windows, the offsets and the history of runs.

CREATE TABLE org (
    org_id bigint PRIMARY KEY CHECK (org_id > 0),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE site (
    site_id bigint PRIMARY KEY CHECK (site_id > 0),
    org_id bigint REFERENCES org,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE script (
    script_id text PRIMARY KEY CHECK (length(script_id) BETWEEN 1 AND 128),
    site_id bigint NOT NULL REFERENCES site,
    enabled boolean NOT NULL DEFAULT true,
    origins text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION notify_registry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bridge_registry', TG_TABLE_NAME);
    RETURN NULL;
END
$$;

CREATE TRIGGER script_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON script
    FOR EACH STATEMENT EXECUTE FUNCTION notify_registry();
CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON site
    FOR EACH STATEMENT EXECUTE FUNCTION notify_registry();

-- Append-only. Months are made ahead of need; a missing month pauses its partition, it never drops events.
CREATE TABLE bridge_event (
    received_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    sent_at timestamptz,
    site_id bigint NOT NULL,
    org_id bigint,
    script_id text NOT NULL,
    event_id text NOT NULL,
    event_type text NOT NULL,
    session_id text,
    visitor_id text,
    url text,
    url_host text,
    url_path text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    utm_term text,
    utm_content text,
    referrer text,
    referrer_host text,
    user_agent text,
    value numeric(21, 6),
    currency text,
    properties jsonb NOT NULL,
    schema_version bigint NOT NULL,
    raw_topic text NOT NULL,
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    attempt integer NOT NULL,
    normalized_at timestamptz NOT NULL DEFAULT now()
) PARTITION BY RANGE (received_at);

CREATE INDEX bridge_event_received_at ON bridge_event USING brin (received_at);
CREATE INDEX bridge_event_site ON bridge_event (site_id, received_at);

-- The authority on duplicates; `received_at` is not before that of the key's event. The heap stands in order of time,
-- so that old keys are found by a BRIN index.
CREATE TABLE bridge_event_key (
    event_key bytea NOT NULL,
    received_at timestamptz NOT NULL,
    CONSTRAINT bridge_event_key_pkey PRIMARY KEY (event_key)
);

CREATE INDEX bridge_event_key_received_at ON bridge_event_key USING brin (received_at);

-- The ledger: one row for each raw event that did not normalise at the first attempt. `normalized` means finished.
CREATE TABLE bridge_event_raw (
    raw_topic text NOT NULL,
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    site_id bigint,
    script_id text,
    event_id text,
    record_key bytea,
    payload bytea,
    headers bytea,
    record_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    retry_count integer NOT NULL DEFAULT 0 CHECK (retry_count >= 0),
    next_retry_at timestamptz,
    first_failed_at timestamptz NOT NULL,
    last_error text NOT NULL,
    error_class text NOT NULL,
    normalized boolean NOT NULL,
    dropped_reason text,
    disposition text CHECK (disposition IN ('open', 'claimed', 'replayed', 'discarded')),
    replay_id uuid,
    replayed_as text,
    replay_of text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT bridge_event_raw_pkey PRIMARY KEY (raw_topic, raw_partition, raw_offset),
    CONSTRAINT bridge_event_raw_state CHECK (
        CASE WHEN normalized THEN next_retry_at IS NULL
             ELSE next_retry_at IS NOT NULL AND dropped_reason IS NULL AND retry_count > 0 END
    )
);

CREATE INDEX bridge_event_raw_waiting ON bridge_event_raw (next_retry_at) WHERE NOT normalized;
CREATE INDEX bridge_event_raw_dropped ON bridge_event_raw (dropped_reason, updated_at) WHERE dropped_reason IS NOT NULL;

-- Outcomes per minute, site and partition of the record that carried the attempt; site 0 is an unreadable site.
CREATE TABLE gate_window (
    window_start timestamptz NOT NULL,
    site_id bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    replay boolean NOT NULL,
    processed bigint NOT NULL,
    normalized bigint NOT NULL,
    retried bigint NOT NULL,
    dropped bigint NOT NULL,
    dropped_invalid_payload_json bigint NOT NULL,
    dropped_schema_violation bigint NOT NULL,
    dropped_duplicate_event_id bigint NOT NULL,
    dropped_sink_rejected_row bigint NOT NULL,
    dropped_retry_exhausted bigint NOT NULL,
    PRIMARY KEY (window_start, site_id, topic, partition, replay),
    CONSTRAINT gate_window_sum CHECK (processed = normalized + retried + dropped),
    CONSTRAINT gate_window_reasons CHECK (
        dropped = dropped_invalid_payload_json + dropped_schema_violation + dropped_duplicate_event_id
            + dropped_sink_rejected_row + dropped_retry_exhausted
    )
);

-- What has been read, and the running totals behind it. `live` counts attempts that had an outcome.
CREATE TABLE stream_offset (
    group_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    base_offset bigint NOT NULL,
    next_offset bigint NOT NULL,
    live bigint NOT NULL DEFAULT 0,
    normalized bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    stale bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0,
    lost_acknowledged bigint NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    epoch bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_id, topic, partition),
    CONSTRAINT stream_offset_forward CHECK (next_offset >= base_offset)
);

CREATE TABLE replay (
    replay_id uuid PRIMARY KEY,
    requested_by text NOT NULL,
    filter jsonb NOT NULL,
    planned bigint NOT NULL,
    published bigint NOT NULL DEFAULT 0,
    state text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE script_run (
    run_id text PRIMARY KEY,
    script text NOT NULL,
    started_by text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    exit_code integer,
    summary jsonb
);

CREATE VIEW gate_window_5m AS
SELECT date_bin('5 minutes', window_start, 'epoch') AS window_start, site_id,
       sum(processed) AS processed, sum(normalized) AS normalized, sum(retried) AS retried, sum(dropped) AS dropped,
       sum(dropped_duplicate_event_id) AS duplicates
FROM gate_window WHERE NOT replay GROUP BY 1, 2;

CREATE VIEW gate_window_30m AS
SELECT date_bin('30 minutes', window_start, 'epoch') AS window_start, site_id,
       sum(processed) AS processed, sum(normalized) AS normalized, sum(retried) AS retried, sum(dropped) AS dropped,
       sum(dropped_duplicate_event_id) AS duplicates
FROM gate_window WHERE NOT replay GROUP BY 1, 2;

CREATE VIEW gate_window_1d AS
SELECT date_bin('1 day', window_start, 'epoch') AS window_start, site_id,
       sum(processed) AS processed, sum(normalized) AS normalized, sum(retried) AS retried, sum(dropped) AS dropped,
       sum(dropped_duplicate_event_id) AS duplicates
FROM gate_window WHERE NOT replay GROUP BY 1, 2;

-- The 7 days' figures: raw events, drops, and the rate of success among what was decided, duplicates left out.
CREATE VIEW kpi_7d AS
SELECT site_id,
       sum(processed) - sum(retried) AS finished,
       sum(normalized) AS normalized,
       sum(dropped) AS dropped,
       sum(dropped_duplicate_event_id) AS duplicates,
       round(100.0 * sum(normalized)
             / nullif(sum(normalized) + sum(dropped) - sum(dropped_duplicate_event_id), 0), 3) AS success_rate_pct
FROM gate_window WHERE NOT replay AND window_start >= now() - interval '7 days' GROUP BY site_id;

-- The verdict over the last 30 minutes, for each site and in total (site_id null).
CREATE VIEW gate_verdict AS
SELECT site_id, processed, normalized, retried, dropped, duplicates,
       100.0 * retried / nullif(processed, 0) AS retry_ratio_pct,
       100.0 * (dropped - duplicates) / nullif(processed, 0) AS drop_ratio_pct
FROM (
    SELECT site_id, sum(processed) AS processed, sum(normalized) AS normalized, sum(retried) AS retried,
           sum(dropped) AS dropped, sum(dropped_duplicate_event_id) AS duplicates
    FROM gate_window WHERE NOT replay AND window_start > now() - interval '30 minutes'
    GROUP BY GROUPING SETS ((site_id), ())
) AS sums;
