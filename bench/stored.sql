-- Adds $3 copies of each row of the table `base` to the month from $1 to $2, spread evenly over it, with keys in the order of
-- their time. The index of keys of the load is in this order too, because its ids are UUIDv7.
WITH copy AS (
    SELECT b.*, n, $1::timestamptz + ((n - 1) * b.whole + b.place - 1) * ($2::timestamptz - $1) / ($3::integer * b.whole) AS earlier
    FROM generate_series(1, $3) AS n CROSS JOIN base AS b
), key AS (
    INSERT INTO bridge_event_key (event_key, received_at, sender)
    SELECT
        substr(int8send((extract(epoch FROM earlier) * 1000)::bigint), 3, 6)
            || substr(sha256((event_id || n)::bytea), 1, 10),
        earlier, sender
    FROM copy
)
INSERT INTO bridge_event
SELECT
    earlier, occurred_at, sent_at, site_id, org_id, script_id, event_id || '-' || n, event_type, session_id,
    visitor_id, url, url_host, url_path, utm_source, utm_medium, utm_campaign, utm_term, utm_content, referrer,
    referrer_host, user_agent, value, currency, properties, schema_version, raw_topic, raw_partition,
    -raw_offset - 1, attempt, normalized_at, sender
FROM copy
