-- The server as this account sees it. Backends are counted by database, because an account without further rights does
-- not see the sessions of others. The smallest of the applicable limits determines how many more connections are
-- possible.
SELECT current_setting('server_version_num')::int / 10000 AS major,
       current_setting('server_version') AS version,
       pg_size_pretty(pg_database_size(current_database())) AS size,
       pg_is_in_recovery() AS in_recovery,
       current_setting('transaction_read_only')::bool AS read_only,
       current_setting('fsync')::bool AS fsync,
       current_setting('full_page_writes')::bool AS full_page_writes,
       current_setting('synchronous_commit') <> 'off' AS synchronous_commit,
       coalesce((SELECT s.ssl FROM pg_stat_ssl AS s WHERE s.pid = pg_backend_pid()), false) AS encrypted,
       r.rolname::text AS role,
       r.rolsuper OR r.rolbypassrls AS superuser,
       least(
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0)
               - (SELECT sum(numbackends) FROM pg_stat_database)::int,
           CASE WHEN d.datconnlimit >= 0
                THEN d.datconnlimit - (SELECT b.numbackends FROM pg_stat_database AS b WHERE b.datid = d.oid) END,
           CASE WHEN r.rolconnlimit >= 0
                THEN r.rolconnlimit - (SELECT count(*) FROM pg_stat_activity AS a WHERE a.usesysid = r.oid)::int END
       ) AS connections_left,
       pg_notification_queue_usage() AS notifications,
       (SELECT setting FROM pg_settings WHERE name = 'data_directory') AS data_directory
FROM pg_roles AS r, pg_database AS d
WHERE r.rolname = current_user AND d.datname = current_database()
