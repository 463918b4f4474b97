-- A row says nothing that its readers can't read: Postgres' times reach from 4713 BC to the year 294276 and to infinity, clients'
-- from year 1 to 9999, and JSON is of the form that the product writes. One row of another form, by any account that may write
-- it, would break each listing that it is on. Rows that are there are not looked at, so that each lock is held for a moment.
-- In each table that a service's account writes.
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.relation, string_agg(
            format($sql$%I BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00'$sql$, a.name), ' AND ' ORDER BY a.place
        ) AS readable
        FROM (VALUES
            ('api_token_use', 'last_used_at'),
            ('brake', 'changed_at, probed_at, released_until'),
            ('bridge_event', 'received_at, occurred_at, sent_at, normalized_at'),
            ('bridge_event_key', 'received_at'),
            ('bridge_event_raw', 'record_time, received_at, next_retry_at, first_failed_at, outcome_at, created_at, updated_at'),
            ('bridge_event_superseded', 'superseded_at'),
            ('gate_judge', 'judged_at'),
            ('gate_state', 'changed_at'),
            ('gate_window', 'window_start'),
            ('replay', 'created_at, updated_at, written_at'),
            ('script_run', 'started_at, ended_at, written_at'),
            ('stream_offset', 'updated_at')
        ) AS t (relation, attributes)
        CROSS JOIN LATERAL string_to_table(t.attributes, ', ') WITH ORDINALITY AS a (name, place)
        GROUP BY t.relation
        ORDER BY t.relation
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%s) NOT VALID',
                       one.relation, one.relation || '_times', one.readable);
    END LOOP;
    FOR one IN
        SELECT t.relation, t.attribute, t.form FROM (VALUES
            ('brake', 'details', 'object'), ('gate_state', 'change', 'object'), ('script_run', 'summary', 'object'),
            ('replay', 'filter', 'object'), ('replay', 'corrections', 'array'), ('replay', 'report', 'object')
        ) AS t (relation, attribute, form)
    LOOP
        -- Readers recurse.
        EXECUTE format($sql$
            ALTER TABLE %1$I ADD CONSTRAINT %3$I
            CHECK (jsonb_typeof(%2$I) = %4$L AND NOT jsonb_path_exists(%2$I, '$.**{100}')) NOT VALID
        $sql$, one.relation, one.attribute, one.relation || '_' || one.attribute, one.form);
    END LOOP;
END
$do$;

-- What runs by its owner's rights is for the accounts alone that call it: the worker of a release before 0019, and the API, which
-- go on before `bridge db grants` is run again.
REVOKE EXECUTE ON FUNCTION end_lock_holders(int), keep_passing(uuid) FROM PUBLIC;
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT f.name, x.grantee::regrole AS grantee
        FROM (VALUES
            ('end_lock_holders(int)', 'end_blocking_sessions(int, double precision)'),
            ('keep_passing(uuid)', 'discard_dead_letters(text[], int[], bigint[], text)')
        ) AS f (name, beside)
        JOIN pg_proc AS p ON p.oid = f.beside::regprocedure
        CROSS JOIN LATERAL aclexplode(p.proacl) AS x
        WHERE x.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', one.name, one.grantee);
    END LOOP;
END
$do$;
