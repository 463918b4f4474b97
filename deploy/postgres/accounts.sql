-- Creates one database account for each service, none of them a superuser. Run it by psql as an administrator of the database, and again
-- whenever a password changes. The passwords come from the environment:
--   OWNER_PASSWORD= WORKER_PASSWORD= GATEWAY_PASSWORD= API_PASSWORD= psql -v ON_ERROR_STOP=1 -f accounts.sql
-- With MONITOR_PASSWORD= it also creates an account for a Postgres exporter, which reads statistics and no row.
-- A SCRAM verifier (`bridge db verifier`) may replace a password. `bridge db grants` grants the accounts their privileges once the
-- schema exists.
\getenv owner_password OWNER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv gateway_password GATEWAY_PASSWORD
\getenv api_password API_PASSWORD
\set monitor_password ''
\getenv monitor_password MONITOR_PASSWORD
-- The statements below contain passwords. A superuser can keep the server from logging them, even if one fails, and from showing them
-- in statistics. An administrator who is no superuser can't, and has to pass verifiers. This is checked before a statement is sent.
\set clear_text `for one in "$OWNER_PASSWORD" "$WORKER_PASSWORD" "$GATEWAY_PASSWORD" "$API_PASSWORD" "$MONITOR_PASSWORD"; do case $one in ""|SCRAM-SHA-256*) ;; *) echo true; exit;; esac; done; echo false`
SELECT :clear_text AND NOT current_setting('is_superuser')::boolean AS shown
\gset
\if :shown
DO $$
BEGIN
    RAISE EXCEPTION 'others can read what an administrator sends who is no superuser: give SCRAM verifiers (`bridge db verifier`) in place of passwords';
END
$$;
\quit
\endif

BEGIN;
-- A change of the owner locks the table, and all other sessions queue behind this transaction. So it waits briefly and fails; run it again.
SET LOCAL lock_timeout = '5s';
DO $$
BEGIN
    IF current_setting('is_superuser')::boolean THEN
        SET LOCAL track_activities = off;
        SET LOCAL log_statement = 'none';
        SET LOCAL log_min_error_statement = 'panic';
        SET LOCAL log_min_duration_statement = -1;
        SET LOCAL log_min_duration_sample = -1;
        SET LOCAL log_transaction_sample_rate = 0;
        SET LOCAL pg_stat_statements.track_utility = off;
    END IF;
END
$$;
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['bridge_owner', 'bridge_worker', 'bridge_gateway', 'bridge_api']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec
ALTER ROLE bridge_owner PASSWORD :'owner_password';
ALTER ROLE bridge_worker PASSWORD :'worker_password';
ALTER ROLE bridge_gateway PASSWORD :'gateway_password';
ALTER ROLE bridge_api PASSWORD :'api_password';
SELECT :'monitor_password' <> '' AS monitored
\gset
\if :monitored
SELECT 'CREATE ROLE monitor LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'monitor')
\gexec
ALTER ROLE monitor PASSWORD :'monitor_password';
-- An exporter needs one session for each database.
ALTER ROLE monitor CONNECTION LIMIT 5;
GRANT CONNECT ON DATABASE :"DBNAME" TO monitor;
GRANT pg_monitor TO monitor;
\endif

-- No service needs temporary relations, which can hide catalogue relations from their own session.
REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
-- No service needs functions in the schema: one that fits a call better than Postgres' own would run with the caller's privileges. PUBLIC may
-- create them in databases that pg_upgrade has brought from Postgres 14 or older.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- No service needs large objects, which remain when a session ends, messages in the write-ahead log, exported snapshots, each of which is a
-- file that temp_file_limit does not count, or an unlimited number of locks, with which one session fills the lock table. A warning
-- appears if another superuser has to run this.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
  AND (proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_put', 'lo_truncate', 'lo_truncate64', 'lowrite',
                   'pg_logical_emit_message', 'pg_export_snapshot')
       OR proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$')
\gexec
-- The owner's migrations and functions take such locks, and its pg_dump --jobs exports a snapshot. `bridge db grants` grants services that run jobs the function that keeps a job from
-- running twice at the same time. Accounts that already write runs get it here, so that they can run until then.
SELECT format('GRANT EXECUTE ON FUNCTION %s TO bridge_owner WITH GRANT OPTION', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
  AND (proname = 'pg_export_snapshot' OR proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$')
\gexec
SELECT format('GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) TO %I', rolname)
FROM pg_roles
WHERE has_table_privilege(oid, to_regclass('public.script_run'), 'INSERT') AND rolcanlogin AND NOT rolsuper
\gexec
-- The revokes above apply to this database only; other databases still have these privileges. So the databases that every server has are
-- closed to these accounts, and stay open to accounts that are not the bridge's. For further databases, restrict access in pg_hba.conf.
SELECT format(CASE closing WHEN 0 THEN 'GRANT CONNECT ON DATABASE %I TO %I' ELSE 'REVOKE CONNECT ON DATABASE %I FROM PUBLIC' END,
              d.datname, r.rolname)
FROM pg_database AS d
CROSS JOIN LATERAL (
    SELECT 0 AS closing, rolname FROM pg_roles
    WHERE rolcanlogin AND NOT rolsuper
      AND rolname NOT IN ('bridge_owner', 'bridge_worker', 'bridge_gateway', 'bridge_api', 'monitor')
      AND NOT coalesce(has_any_column_privilege(oid, to_regclass('public.bridge_event'), 'SELECT'), false)
    UNION ALL
    SELECT 1, NULL
) AS r
WHERE d.datname IN ('postgres', 'template1') AND d.datname <> current_database() AND current_setting('is_superuser') = 'on'
  AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS x
              WHERE x.grantee = 0 AND x.privilege_type = 'CONNECT')
ORDER BY d.datname, closing
\gexec
GRANT CONNECT ON DATABASE :"DBNAME" TO bridge_owner WITH GRANT OPTION;
GRANT USAGE, CREATE ON SCHEMA public TO bridge_owner WITH GRANT OPTION;
-- Without it the state of other accounts' sessions is hidden, and `bridge top` shows no lanes.
GRANT pg_read_all_stats TO bridge_owner;
-- Workers use it to end sessions of other accounts that block them for longer than ten seconds, see `end_blocking_sessions`.
GRANT pg_signal_backend TO bridge_owner;
-- No transaction of a service is idle for so long. A session can change the limit; then workers end it when it blocks them.
ALTER ROLE bridge_worker SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE bridge_gateway SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE bridge_api SET idle_in_transaction_session_timeout = '60s';

-- Limits on temporary files, which only a superuser may change, and on the number of sessions of an account.
SELECT format('ALTER ROLE %I SET temp_file_limit = %L', rolname, CASE rolname WHEN 'bridge_api' THEN '4GB' ELSE '1GB' END)
FROM pg_roles
WHERE rolname IN ('bridge_worker', 'bridge_gateway', 'bridge_api', 'monitor') AND current_setting('is_superuser') = 'on'
\gexec
ALTER ROLE bridge_gateway CONNECTION LIMIT 20;
-- By its own limits a process of the API opens up to 112 connections. On a server without room for these beside the others', the API gets 40,
-- which is what BRIDGE_API_MAX_REQUESTS=8 needs.
SELECT format('ALTER ROLE bridge_api CONNECTION LIMIT %s', CASE WHEN current_setting('max_connections')::int >= 250 THEN 120 ELSE 40 END)
\gexec

-- Objects that an earlier release created with the administrator's account become the owner's. This database has no other objects.
SELECT format('ALTER %s public.%I OWNER TO bridge_owner', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND relowner = CURRENT_USER::regrole
UNION ALL
SELECT format('ALTER FUNCTION %s OWNER TO bridge_owner', p.oid::regprocedure)
FROM pg_proc AS p
WHERE pronamespace = 'public'::regnamespace AND proowner = CURRENT_USER::regrole
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
\gexec
COMMIT;
