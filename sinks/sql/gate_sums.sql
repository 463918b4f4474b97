-- Outcomes of each site and in total in the last $1 seconds, replays apart.
SELECT CASE WHEN grouping(site_id) = 1 THEN 'total' ELSE 'site:' || site_id END AS target,
       coalesce(sum(processed), 0)::bigint AS processed, coalesce(sum(normalized), 0)::bigint AS normalized,
       coalesce(sum(retried), 0)::bigint AS retried, coalesce(sum(dropped), 0)::bigint AS dropped,
       coalesce(sum(dropped_duplicate_event_id), 0)::bigint AS duplicates
FROM gate_window
WHERE NOT replay AND window_start > now() - make_interval(secs => $1::float8)
GROUP BY GROUPING SETS ((site_id), ())
ORDER BY 1
