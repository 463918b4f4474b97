-- Events and retries of each of the last $1 days, of the site $2 if it is given; without replays.
SELECT (window_start AT TIME ZONE 'UTC')::date AS day, saturated(sum(normalized)) AS normalized, saturated(sum(retried)) AS retried
FROM gate_window
WHERE NOT replay AND window_start >= date_trunc('day', now(), 'UTC') - make_interval(days => $1::int - 1)
  AND window_start < now() + interval '1 hour'
  AND ($2::bigint IS NULL OR site_id = $2)
GROUP BY 1 ORDER BY 1
