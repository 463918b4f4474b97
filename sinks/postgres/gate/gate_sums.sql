-- Outcomes of each site, and the total, in the last $1 seconds, without replays. A worker's clock may be up to an hour
-- ahead of Postgres'.
SELECT CASE WHEN grouping(site_id) = 1 THEN 'total' ELSE 'site:' || site_id END AS target,
       saturated(coalesce(sum(processed), 0)) AS processed, saturated(coalesce(sum(normalized), 0)) AS normalized,
       saturated(coalesce(sum(retried), 0)) AS retried, saturated(coalesce(sum(dropped), 0)) AS dropped,
       saturated(coalesce(sum(dropped_duplicate_event_id), 0)) AS duplicates
FROM gate_window
WHERE NOT replay AND window_start > now() - make_interval(secs => $1::float8) AND window_start < now() + interval '1 hour'
GROUP BY GROUPING SETS ((site_id), ())
ORDER BY 1
