-- The database of this session, and its server's version.
SELECT current_database()::text AS database, current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major
