-- Revokes from every account of this database the functions that can fill a shared resource or the disk without a
-- grant: unlimited locks, messages in the write-ahead log, exported snapshots, and large objects.
-- deploy/postgres/accounts.sql does the same. The database's owner keeps the lock functions and may grant them, and
-- exports snapshots for pg_dump --jobs. Accounts that record runs keep the lock
-- function that makes a job run once at a time.
DO $$
DECLARE
    command text;
BEGIN
    FOR command IN
        SELECT format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_import', 'lo_put', 'lo_truncate', 'lo_truncate64',
                           'lowrite', 'pg_logical_emit_message', 'pg_export_snapshot')
               OR proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$')
        UNION ALL
        SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I WITH GRANT OPTION', pg_proc.oid::regprocedure, pg_get_userbyid(datdba))
        FROM pg_proc, pg_database
        WHERE pronamespace = 'pg_catalog'::regnamespace
          AND (proname = 'pg_export_snapshot' OR proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$')
          AND datname = current_database()
        UNION ALL
        SELECT format('GRANT EXECUTE ON FUNCTION pg_try_advisory_lock(bigint) TO %I', rolname)
        FROM pg_roles
        WHERE has_table_privilege(oid, to_regclass('public.script_run'), 'INSERT') AND rolcanlogin AND NOT rolsuper
    LOOP
        EXECUTE command;
    END LOOP;
END
$$;
