-- The session of this database that holds the lock of a script and scope, with its role and application; does not try
-- to take the lock.
SELECT l.pid, s.usename::text AS role, nullif(s.application_name, '') AS application
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS s USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended($1::text, 0::bigint)
