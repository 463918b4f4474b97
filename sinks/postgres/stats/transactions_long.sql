-- Transactions of this database that have been open for more than $1 seconds, the oldest first, including prepared
-- ones.
SELECT who, seconds, state, remedy
FROM (
    SELECT format('backend %s (%s, %s)', pid, coalesce(usename, '?'), coalesce(nullif(application_name, ''), 'no name'))
               AS who,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
           coalesce(state, 'unknown') AS state,
           format('find out what it does; SELECT pg_terminate_backend(%s) ends it', pid) AS remedy
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    UNION ALL
    SELECT format('prepared transaction %s (%s)', gid, owner), extract(epoch FROM clock_timestamp() - prepared)::float8,
           'prepared', format('COMMIT PREPARED or ROLLBACK PREPARED %L', gid)
    FROM pg_prepared_xacts
    WHERE database = current_database()
) AS transactions
WHERE seconds > $1::float8
ORDER BY seconds DESC
LIMIT 20
