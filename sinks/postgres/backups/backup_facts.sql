-- What the manifest says of the database: names, version, and the time whose state this transaction shows.
SELECT current_database()::text AS database, current_schema()::text AS schema_name, current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major, now() AS taken_at, pg_export_snapshot() AS snapshot
