-- The newest backup, the newest verified one, and the oldest one, of those that are still there, each as the time whose state it has; and
-- the longest restore of the last ten verifications. If no backup is there, or none of these is verified, the time of the oldest backup that was
-- ever made is returned, so that the alerts fire. Nulls without any backup.
SELECT extract(epoch FROM coalesce(max(taken_at) FILTER (WHERE removed_at IS NULL), min(taken_at)))::float8 AS newest,
       extract(epoch FROM coalesce(
           max(taken_at) FILTER (WHERE removed_at IS NULL AND checked_at IS NOT NULL AND problem IS NULL), min(taken_at)))::float8 AS verified,
       extract(epoch FROM min(taken_at) FILTER (WHERE removed_at IS NULL))::float8 AS oldest,
       (SELECT max(last.restore_seconds)
        FROM (SELECT restore_seconds FROM backup WHERE problem IS NULL AND restore_seconds IS NOT NULL ORDER BY checked_at DESC LIMIT 10) AS last
       ) AS restore_seconds
FROM backup
