-- One database account for each service, and none of them a superuser. Run by psql as an administrator of the database, again
-- whenever a password changes; the passwords come from the environment:
--   OWNER_PASSWORD= WORKER_PASSWORD= GATEWAY_PASSWORD= API_PASSWORD= psql -v ON_ERROR_STOP=1 -f accounts.sql
-- With MONITOR_PASSWORD= as well there is an account for a Postgres exporter, which reads statistics and no row.
-- A SCRAM verifier (`bridge db verifier`) is taken in place of a password. What each may do is granted by `bridge db grants` once the
-- schema is there.
\getenv owner_password OWNER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv gateway_password GATEWAY_PASSWORD
\getenv api_password API_PASSWORD
\set monitor_password ''
\getenv monitor_password MONITOR_PASSWORD
-- The statements below contain passwords. A superuser can have the server keep them in no log, also not where one fails, and
-- show them in no statistics; an administrator who is none gives verifiers. That is looked at here, before one is sent.
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
-- New owners lock their tables, and everybody else waits behind this transaction: it fails after so long, and is run again.
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

-- No account of a service needs temporary relations, which hide those of the catalogue from its own session.
REVOKE TEMPORARY ON DATABASE :"DBNAME" FROM PUBLIC;
-- Nor functions in the schema, of which one that fits a call better than Postgres' own would run by the rights of whoever calls it.
-- PUBLIC may make them in databases that pg_upgrade has brought from Postgres 14 or older.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- Nor large objects, which stay when a session ends, nor messages in the write-ahead log, nor locks of any number, by which one
-- session fills the table of locks of all. A warning says that another superuser has to run this.
SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace
  AND (proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_put', 'lo_truncate', 'lo_truncate64', 'lowrite',
                   'pg_logical_emit_message')
       OR proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$')
\gexec
-- The owner's migrations and functions take such locks. `bridge db grants` gives the one by which a job runs once at a time to those
-- services that run jobs; accounts that write runs already keep it here, so that they miss nothing until then.
SELECT format('GRANT EXECUTE ON FUNCTION %s TO bridge_owner WITH GRANT OPTION', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'
\gexec
SELECT format('GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) TO %I', rolname)
FROM pg_roles
WHERE has_table_privilege(oid, to_regclass('public.script_run'), 'INSERT') AND rolcanlogin AND NOT rolsuper
\gexec
-- All that is kept in each database, and is taken in this one only. The databases that every server has are closed to these accounts,
-- and stay open to each account that has nothing to do with the bridge. Further ones: pg_hba.conf names the database of each account.
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
-- Without it the sessions of the other accounts have no state, and `bridge top` shows no lanes.
GRANT pg_read_all_stats TO bridge_owner;
-- By it workers end the sessions of other accounts that keep them waiting for longer than ten seconds, see `end_blocking_sessions`.
GRANT pg_signal_backend TO bridge_owner;
-- No transaction of a service waits for its own process for so long. A session may set it anew, and is ended then.
ALTER ROLE bridge_worker SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE bridge_gateway SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE bridge_api SET idle_in_transaction_session_timeout = '60s';

-- What a statement spills to disk, which only a superuser may change, and how many sessions an account may have.
SELECT format('ALTER ROLE %I SET temp_file_limit = %L', rolname, CASE rolname WHEN 'bridge_api' THEN '4GB' ELSE '1GB' END)
FROM pg_roles
WHERE rolname IN ('bridge_worker', 'bridge_gateway', 'bridge_api', 'monitor') AND current_setting('is_superuser') = 'on'
\gexec
ALTER ROLE bridge_gateway CONNECTION LIMIT 20;
ALTER ROLE bridge_api CONNECTION LIMIT 40;

-- What an earlier release has made under the administrator's account becomes the owner's. This database is the bridge's alone.
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
