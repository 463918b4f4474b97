-- Outcomes of each site, and the total, in the last $1 seconds, without replays. A worker's clock may be up to an hour
-- ahead of Postgres'. Of unregistered sites, at least the 1000 with the most events are returned, since a worker's
-- account may write any number of them; the total includes all.
SELECT target, processed, normalized, retried, dropped, duplicates
FROM (
    SELECT site_id, CASE WHEN grouping(site_id) = 1 THEN 'total' ELSE 'site:' || site_id END AS target,
           saturated(coalesce(sum(processed), 0)) AS processed, saturated(coalesce(sum(normalized), 0)) AS normalized,
           saturated(coalesce(sum(retried), 0)) AS retried, saturated(coalesce(sum(dropped), 0)) AS dropped,
           saturated(coalesce(sum(dropped_duplicate_event_id), 0)) AS duplicates
    FROM gate_window
    WHERE NOT replay AND window_start > now() - make_interval(secs => $1::float8) AND window_start < now() + interval '1 hour'
    GROUP BY GROUPING SETS ((site_id), ())
    ORDER BY grouping(site_id) = 0 AND site_id <> 0 AND site_id NOT IN (SELECT site_id FROM site), processed DESC, target
    LIMIT (SELECT count(*) + 1002 FROM site)
) AS evaluated
ORDER BY target
