-- Dead letters by cause, the most frequent first, in all and in each of the $2 hours before $1; the first entry of
-- `hours` is the last hour. At most $3 of them, each with how many causes and dead letters there are in all.
WITH meant AS NOT MATERIALIZED (
    SELECT l.cause, l.outcome_at FROM bridge_event_raw AS l WHERE /* conditions */ true
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
) AS hours
FROM total AS t
ORDER BY t.dead_letters DESC, t.cause
