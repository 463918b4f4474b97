-- The number of raw events that wait for their next attempt, of those past its time, and the most seconds past it.
SELECT count(*) AS waiting,
       count(*) FILTER (WHERE next_retry_at < now()) AS overdue,
       coalesce(extract(epoch FROM now() - min(next_retry_at) FILTER (WHERE next_retry_at < now())), 0)::float8
           AS longest_overdue_seconds
FROM bridge_event_raw
WHERE NOT normalized
