-- Events that wait for a retry, by number of failures, error class and sender class: their number, the number past
-- their time, and the ages of the oldest.
SELECT retry_count, error_class, sender, count(*) AS waiting,
       count(*) FILTER (WHERE next_retry_at < now()) AS overdue,
       greatest(0, extract(epoch FROM now() - min(next_retry_at)))::float8 AS overdue_seconds,
       greatest(0, extract(epoch FROM now() - min(first_failed_at)))::float8 AS age_seconds
FROM bridge_event_raw
WHERE NOT normalized
GROUP BY retry_count, error_class, sender
