-- The session that holds the migrations' lock in this database, and its role; a key below 2^63 is stored in two halves.
SELECT l.pid, s.usename::text AS role
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS s USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
