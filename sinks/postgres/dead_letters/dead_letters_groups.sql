-- Dead letters by cause, the most frequent first, at most $3 causes: the total, and the number in each of the $2 hours
-- before $1. The first entry of `hours` is the last hour. Each cause has its latest dead letter as an example, and the
-- $4 sites that have the most. Each row has the number of all causes and dead letters. Sites are counted from an index
-- alone. Examples, and the scripts of a site's latest dead letters, are found by their time, regardless of the other
-- conditions. So is `since`, the time when the oldest of those dropped first was received.
WITH meant AS NOT MATERIALIZED (
    SELECT l.* FROM bridge_event_raw AS l WHERE /* conditions */ true
), lately AS MATERIALIZED (
    SELECT cause, date_bin('1 hour', outcome_at, $1::timestamptz) AS since, count(*) AS dead_letters
    FROM meant
    WHERE outcome_at >= $1::timestamptz - $2::int * interval '1 hour'
    GROUP BY 1, 2
), by_site AS MATERIALIZED (
    SELECT cause, site_id, count(*) AS dead_letters, min(outcome_at) AS first_at, max(outcome_at) AS last_at
    FROM meant
    GROUP BY cause, site_id
), total AS MATERIALIZED (
    SELECT cause, sum(dead_letters)::bigint AS dead_letters, min(first_at) AS first_at, max(last_at) AS last_at,
           count(*) AS sites, count(*) OVER () AS causes, (sum(sum(dead_letters)) OVER ())::bigint AS total
    FROM by_site
    GROUP BY cause
    ORDER BY 2 DESC, cause
    LIMIT $3
), top_site AS (
    SELECT b.*, row_number() OVER (PARTITION BY b.cause ORDER BY b.dead_letters DESC, b.site_id) AS rank
    FROM by_site AS b JOIN total USING (cause)
), whose AS MATERIALIZED (
    SELECT o.cause, json_agg(json_build_array(o.site_id, s.org_id, o.dead_letters, array(
        SELECT DISTINCT latest.script_id
        FROM (
            SELECT m.script_id
            FROM meant AS m
            WHERE m.cause = o.cause AND m.outcome_at = o.last_at AND m.site_id IS NOT DISTINCT FROM o.site_id
              AND m.script_id IS NOT NULL
            LIMIT 100
        ) AS latest
        ORDER BY 1
        LIMIT 3
    )) ORDER BY o.rank) AS owners
    FROM top_site AS o LEFT JOIN site AS s USING (site_id)
    WHERE o.rank <= $4::int
    GROUP BY o.cause
)
SELECT t.*, w.owners, array(
    SELECT coalesce(h.dead_letters, 0)
    FROM generate_series(1, $2::int) AS hour
    LEFT JOIN lately AS h ON h.cause = t.cause AND h.since = $1::timestamptz - hour * interval '1 hour'
    ORDER BY hour
) AS hours, (
    SELECT min(f.received_at)
    FROM (SELECT m.received_at FROM meant AS m WHERE m.cause = t.cause AND m.outcome_at = t.first_at LIMIT 1000) AS f
) AS since, normalized_message(example.last_error) AS message, example.*, s.org_id
FROM total AS t
JOIN whose AS w USING (cause)
CROSS JOIN LATERAL (
    SELECT m.raw_topic, m.raw_partition, m.raw_offset, m.outcome_at, m.dropped_reason, m.error_class, m.last_error,
           m.retry_count, m.site_id, m.script_id, m.event_id, m.disposition, m.replay_of, m.replayed_as, m.sender,
           CASE WHEN m.site_id IS NULL OR m.script_id IS NULL THEN substring(m.payload, 1, 4096) END AS beginning
    FROM meant AS m
    WHERE m.cause = t.cause AND m.outcome_at = t.last_at
    ORDER BY m.raw_topic DESC, m.raw_partition DESC, m.raw_offset DESC
    LIMIT 1
) AS example
LEFT JOIN site AS s ON s.site_id = example.site_id
ORDER BY t.dead_letters DESC, t.cause
