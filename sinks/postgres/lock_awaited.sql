-- The lock that backend $1 waits for, and the sessions that block it, the oldest transaction first. Seconds and state
-- are null for sessions of other roles if this account may not see them. A prepared transaction has backend 0.
SELECT coalesce(l.relation::regclass::text,
                (SELECT 'a row of ' || t.relation::regclass FROM pg_locks AS t
                 WHERE t.pid = l.pid AND t.locktype = 'tuple' AND t.granted LIMIT 1),
                format('the %s lock %s', l.locktype, l.objid)) AS awaited,
       b.pid, s.usename::text AS role, nullif(s.application_name, '') AS application, s.state,
       extract(epoch FROM clock_timestamp() - s.xact_start)::float8 AS seconds
FROM pg_locks AS l
CROSS JOIN unnest(pg_blocking_pids($1::int)) AS b (pid)
LEFT JOIN pg_stat_activity AS s ON s.pid = b.pid
WHERE l.pid = $1::int AND NOT l.granted
ORDER BY s.xact_start NULLS LAST, b.pid
LIMIT 5
