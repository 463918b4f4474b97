-- Outcomes of each registered site, of site 0 (no readable site), and the total of all, in the last $1 seconds, without
-- replays. A worker's clock may be up to an hour ahead of Postgres'.
SELECT CASE WHEN grouping(site_id) = 1 THEN 'total' ELSE 'site:' || site_id END AS target,
       saturated(coalesce(sum(processed), 0)) AS processed, saturated(coalesce(sum(normalized), 0)) AS normalized,
       saturated(coalesce(sum(retried), 0)) AS retried, saturated(coalesce(sum(dropped), 0)) AS dropped,
       saturated(coalesce(sum(dropped_duplicate_event_id), 0)) AS duplicates
FROM (
    SELECT CASE WHEN w.site_id = 0 THEN 0 ELSE s.site_id END AS site_id,
           processed, normalized, retried, dropped, dropped_duplicate_event_id
    FROM gate_window AS w
    LEFT JOIN site AS s ON s.site_id = w.site_id
    WHERE NOT replay AND window_start > now() - make_interval(secs => $1::float8) AND window_start < now() + interval '1 hour'
) AS counted
GROUP BY GROUPING SETS ((site_id), ())
HAVING grouping(site_id) = 1 OR site_id IS NOT NULL
ORDER BY 1
