-- Events that wait for a retry, by number of failures, error class and sender class ($4 for replays): their number, the
-- number past their time, and the ages of the oldest. Classes that are not in $1 are counted together, as are senders
-- that are not in $2, and numbers of failures above $3, since a worker's account may write any number of them.
SELECT least(retry_count, $3::int) AS failures,
       CASE WHEN error_class = ANY ($1::text[]) THEN error_class ELSE 'other' END AS class,
       CASE WHEN replay_of IS NOT NULL THEN $4::text
            WHEN sender = ANY ($2::text[]) THEN sender END AS sender_class,
       count(*) AS waiting,
       count(*) FILTER (WHERE next_retry_at < now()) AS overdue,
       greatest(0, extract(epoch FROM now() - min(next_retry_at)))::float8 AS overdue_seconds,
       greatest(0, extract(epoch FROM now() - min(first_failed_at)))::float8 AS age_seconds
FROM bridge_event_raw
WHERE NOT normalized
GROUP BY 1, 2, 3
