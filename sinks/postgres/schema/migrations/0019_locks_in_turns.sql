-- Accounts that take turns keep no rows from a worker. The API's account changes dead letters by functions only, so that it can't
-- lock rows of the ledger by statements of its own: neither rows that wait for a retry, nor any row for share, which sessions
-- can join for ever. Nothing is rewritten, and each lock is held for a moment.

DO $do$
DECLARE
    places CONSTANT text := 'unnest(topics, partitions, offsets) AS n (raw_topic, raw_partition, raw_offset)';
    same CONSTANT text := 'l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset';
    ledger CONSTANT text := format('%I.bridge_event_raw', current_schema());
    item CONSTANT text := format('%I.replay_item', current_schema());
    definer CONSTANT text := 'LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp';
    -- A lane that finds claims changed under it again keeps this lock alone while it reads and settles.
    claims CONSTANT text := 'SELECT pg_advisory_xact_lock_shared(1651665262, 1);';
BEGIN
    EXECUTE format($sql$
CREATE FUNCTION discard_dead_letters(topics text[], partitions int[], offsets bigint[], run text) RETURNS bigint %4$s AS $$
%5$s
WITH done AS (
    UPDATE %1$s AS l
    SET disposition = 'discarded', discarded_by = run, updated_at = now()
    FROM %2$s
    WHERE %3$s AND l.disposition = 'open'
    RETURNING 1
)
SELECT count(*) FROM done
$$
    $sql$, ledger, places, same, definer, claims);
    EXECUTE format($sql$
CREATE FUNCTION lock_dead_letters(plan uuid, after bigint, up_to bigint) RETURNS bigint %3$s AS $$
%4$s
SELECT count(*)
FROM (
    SELECT
    FROM %2$s AS i
    JOIN %1$s AS l USING (raw_topic, raw_partition, raw_offset)
    WHERE i.replay_id = plan AND i.position > after AND i.position <= up_to AND l.disposition IS NOT NULL
    ORDER BY l.raw_topic, l.raw_partition, l.raw_offset
    FOR UPDATE OF l
) AS locked
$$
    $sql$, ledger, item, definer, claims);
    EXECUTE format($sql$
CREATE FUNCTION claim_dead_letters(plan uuid, topics text[], partitions int[], offsets bigint[], digests bytea[])
RETURNS void %3$s AS $$
%4$s
UPDATE %1$s AS l
SET disposition = 'claimed', replay_id = plan, replayed_as = NULL, replay_digest = n.replay_digest, updated_at = now()
FROM unnest(topics, partitions, offsets, digests) AS n (raw_topic, raw_partition, raw_offset, replay_digest)
WHERE %2$s AND l.disposition IN ('open', 'replayed')
$$
    $sql$, ledger, same, definer, claims);
    EXECUTE format($sql$
CREATE FUNCTION let_go_dead_letters(plan uuid, topics text[], partitions int[], offsets bigint[]) RETURNS bigint %4$s AS $$
%5$s
WITH done AS (
    UPDATE %1$s AS l
    SET disposition = 'open', replay_id = NULL, updated_at = now()
    FROM %2$s
    WHERE %3$s AND l.disposition = 'claimed' AND l.replay_id = plan
    RETURNING 1
)
SELECT count(*) FROM done
$$
    $sql$, ledger, places, same, definer, claims);
END
$do$;
COMMENT ON FUNCTION discard_dead_letters(text[], int[], bigint[], text) IS
    'Discards open dead letters, by the run; returns how many. The ledger''s rows are changed so by accounts that may not lock them.';
COMMENT ON FUNCTION lock_dead_letters(uuid, bigint, bigint) IS
    'Locks the dead letters of a plan''s items between two positions, in one order for all; returns how many.';
COMMENT ON FUNCTION claim_dead_letters(uuid, text[], int[], bigint[], bytea[]) IS
    'Claims dead letters, open or replayed before, for a replay; the digests are those of the records that will be sent.';
COMMENT ON FUNCTION let_go_dead_letters(uuid, text[], int[], bigint[]) IS
    'Opens what the replay has claimed again; returns how many.';

-- The age of a transaction is its session's choice, and sessions in turns are each young. So what is judged is how long the
-- caller's work has waited, over its tries. That is the worker's word, and only its account may execute this. All sessions that
-- block it are ended, also those that wait before it, so that the worker is next.
CREATE FUNCTION end_blocking_sessions(waiting int, waited double precision)
RETURNS TABLE (pid int, role text, ended boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH RECURSIVE blocker (pid) AS (
    SELECT unnest(pg_blocking_pids(waiting))
    UNION
    SELECT unnest(pg_blocking_pids(b.pid)) FROM blocker AS b
)
SELECT a.pid, a.usename::text, pg_terminate_backend(a.pid)
FROM blocker AS b
JOIN pg_stat_activity AS a USING (pid)
JOIN pg_roles AS r ON r.oid = a.usesysid
WHERE EXISTS (SELECT FROM pg_stat_activity AS w WHERE w.pid = waiting AND w.usename = session_user)
  AND a.datname = current_database()
  AND a.usename <> current_user
  AND NOT r.rolsuper
  AND ((waited > 10 AND a.usename <> session_user) OR clock_timestamp() - a.xact_start > interval '60 s')
  AND pg_has_role('pg_signal_backend', 'USAGE')
$$;
COMMENT ON FUNCTION end_blocking_sessions(int, double precision) IS
    'Ends the sessions that keep a session of the caller''s account waiting: of other accounts once it has waited 10 s, else those whose transactions are older than a minute.';
COMMENT ON FUNCTION end_lock_holders(int) IS
    'As end_blocking_sessions, by the age of transactions alone: for workers of releases before 0019.';

-- These functions are for the services alone that call them. An account that could do the same by rights on the tables may
-- execute them from now on, so that a service of this build starts before `bridge db grants` has taken those rights away.
REVOKE EXECUTE ON FUNCTION
    discard_dead_letters(text[], int[], bigint[], text), lock_dead_letters(uuid, bigint, bigint),
    claim_dead_letters(uuid, text[], int[], bigint[], bytea[]), let_go_dead_letters(uuid, text[], int[], bigint[]),
    end_blocking_sessions(int, double precision)
FROM PUBLIC;
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT f.signature::regprocedure AS signature, x.grantee::regrole AS grantee
        FROM (VALUES
            ('bridge_event_raw', 'discarded_by', 'discard_dead_letters(text[], int[], bigint[], text)'),
            ('bridge_event_raw', 'discarded_by', 'lock_dead_letters(uuid, bigint, bigint)'),
            ('bridge_event_raw', 'discarded_by', 'claim_dead_letters(uuid, text[], int[], bigint[], bytea[])'),
            ('bridge_event_raw', 'discarded_by', 'let_go_dead_letters(uuid, text[], int[], bigint[])'),
            ('stream_offset', 'next_offset', 'end_blocking_sessions(int, double precision)')
        ) AS f (relation, attribute, signature)
        JOIN pg_class AS c ON c.oid = f.relation::regclass
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = f.attribute
        CROSS JOIN LATERAL (
            SELECT t.grantee, t.privilege_type FROM aclexplode(c.relacl) AS t
            UNION ALL
            SELECT t.grantee, t.privilege_type FROM aclexplode(a.attacl) AS t
        ) AS x
        WHERE x.privilege_type = 'UPDATE' AND x.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', one.signature, one.grantee);
    END LOOP;
END
$do$;
