-- Dead letters by cause, the most frequent first, in all and in each of the $2 hours before $1; the first entry of
-- `hours` is the last hour. At most $3 of them, each with the latest as an example, and with how many causes and dead
-- letters there are in all. By its time an example is found at once, whatever else is asked for.
WITH meant AS NOT MATERIALIZED (
    SELECT l.* FROM bridge_event_raw AS l WHERE /* conditions */ true
), lately AS MATERIALIZED (
    SELECT cause, date_bin('1 hour', outcome_at, $1::timestamptz) AS since, count(*) AS dead_letters
    FROM meant
    WHERE outcome_at >= $1::timestamptz - $2::int * interval '1 hour'
    GROUP BY 1, 2
), total AS (
    SELECT cause, count(*) AS dead_letters, min(outcome_at) AS first_at, max(outcome_at) AS last_at,
           count(*) OVER () AS causes, (sum(count(*)) OVER ())::bigint AS total
    FROM meant
    GROUP BY cause
    ORDER BY dead_letters DESC, cause
    LIMIT $3
)
SELECT t.*, array(
    SELECT coalesce(h.dead_letters, 0)
    FROM generate_series(1, $2::int) AS hour
    LEFT JOIN lately AS h ON h.cause = t.cause AND h.since = $1::timestamptz - hour * interval '1 hour'
    ORDER BY hour
) AS hours, normalized_message(example.last_error) AS message, example.*, s.org_id
FROM total AS t
CROSS JOIN LATERAL (
    SELECT m.raw_topic, m.raw_partition, m.raw_offset, m.outcome_at, m.dropped_reason, m.error_class, m.last_error,
           m.retry_count, m.site_id, m.script_id, m.event_id, m.disposition, m.replay_of, m.replayed_as, m.sender
    FROM meant AS m
    WHERE m.cause = t.cause AND m.outcome_at = t.last_at
    ORDER BY m.raw_topic DESC, m.raw_partition DESC, m.raw_offset DESC
    LIMIT 1
) AS example
LEFT JOIN site AS s ON s.site_id = example.site_id
ORDER BY t.dead_letters DESC, t.cause
