-- Events that wait for a retry, by site, script and error class, the most frequent first: at most $1 rows, of the site
-- $2 if it is given (0: no readable site). Only the $3 events that are due first are counted, which an index finds.
-- Each row has the number of events counted in all.
WITH waiting AS MATERIALIZED (
    SELECT site_id, script_id, error_class, retry_count, first_failed_at
    FROM bridge_event_raw
    WHERE NOT normalized
    ORDER BY next_retry_at
    LIMIT $3::int
), by_script AS (
    SELECT site_id, script_id, error_class, count(*) AS waiting, max(retry_count) AS attempts,
           min(first_failed_at) AS first_failed_at, (sum(count(*)) OVER ())::bigint AS looked_at
    FROM waiting
    GROUP BY site_id, script_id, error_class
)
SELECT w.site_id, s.org_id, w.script_id, w.error_class, w.waiting, w.attempts, w.first_failed_at, w.looked_at
FROM by_script AS w LEFT JOIN site AS s USING (site_id)
WHERE $2::bigint IS NULL OR coalesce(w.site_id, 0) = $2
ORDER BY w.waiting DESC, w.site_id, w.script_id, w.error_class
LIMIT $1::int
