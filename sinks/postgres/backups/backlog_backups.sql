-- The newest backup, the newest verified one (while there is none: the oldest backup), the oldest that is still there, each as the
-- time whose state it has, and the longest restore of the last ten verifications; nulls without any backup.
SELECT extract(epoch FROM max(taken_at))::float8 AS newest,
       extract(epoch FROM coalesce(max(taken_at) FILTER (WHERE checked_at IS NOT NULL AND problem IS NULL), min(taken_at)))::float8 AS verified,
       extract(epoch FROM min(taken_at) FILTER (WHERE removed_at IS NULL))::float8 AS oldest,
       (SELECT max(last.restore_seconds)
        FROM (SELECT restore_seconds FROM backup WHERE problem IS NULL AND restore_seconds IS NOT NULL ORDER BY checked_at DESC LIMIT 10) AS last
       ) AS restore_seconds
FROM backup
