-- Multiplies the rows of one run, $1 times: each copy is some hours older, with keys in the order of their time.
WITH copy AS (
    SELECT e.*, n, e.received_at - n * interval '2 hours' AS earlier
    FROM bridge_event AS e CROSS JOIN generate_series(1, $1::integer) AS n
), key AS (
    INSERT INTO bridge_event_key (event_key, received_at)
    SELECT
        substr(int8send((extract(epoch FROM earlier) * 1000)::bigint), 3, 6)
            || substr(sha256((event_id || n)::bytea), 1, 10),
        earlier
    FROM copy ORDER BY earlier
)
INSERT INTO bridge_event
SELECT
    earlier, occurred_at, sent_at, site_id, org_id, script_id, event_id || '-' || n, event_type, session_id,
    visitor_id, url, url_host, url_path, utm_source, utm_medium, utm_campaign, utm_term, utm_content, referrer,
    referrer_host, user_agent, value, currency, properties, schema_version, raw_topic, raw_partition,
    -raw_offset - 1, attempt, normalized_at
FROM copy ORDER BY earlier
