-- Dead letters by cause, the most frequent first, in all and in each of the $2 hours before $1; the first entry of
-- `hours` is the last hour. At most $3 of them, each with how many causes and dead letters there are in all.
WITH hourly AS (
    SELECT l.cause, floor(extract(epoch FROM $1::timestamptz - l.outcome_at) / 3600) AS age,
           count(*) AS dead_letters, min(l.outcome_at) AS first_at, max(l.outcome_at) AS last_at
    FROM bridge_event_raw AS l
    WHERE /* conditions */ true
    GROUP BY 1, 2
), cause AS (
    SELECT cause, sum(dead_letters)::bigint AS dead_letters, min(first_at) AS first_at, max(last_at) AS last_at
    FROM hourly
    GROUP BY cause
)
SELECT c.cause, c.dead_letters, c.first_at, c.last_at,
       array(
           SELECT coalesce(sum(h.dead_letters), 0)::bigint
           FROM generate_series(0, $2::int - 1) AS hour LEFT JOIN hourly AS h ON h.cause = c.cause AND h.age = hour
           GROUP BY hour ORDER BY hour
       ) AS hours,
       count(*) OVER () AS causes, (sum(c.dead_letters) OVER ())::bigint AS total
FROM cause AS c
ORDER BY c.dead_letters DESC, c.cause
LIMIT $3
