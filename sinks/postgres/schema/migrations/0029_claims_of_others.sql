-- A claim is released only by the owner, or by the account that cancelled or resumed its plan while no run of another account sends it;
-- and only the owner changes the identity of an event that has one. Nothing is rewritten, and each lock is held for a moment. The release
-- before calls no such function, and does no more than this allows.

-- A run resumes a plan that is still `running` after a crash, which changes neither its state nor who ended it. Fires after `replay_ender`,
-- which keeps the former account.
CREATE FUNCTION note_resumer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.ended_written_by := session_user;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_resumer() IS 'Trigger: notes the account that begins or resumes a plan.';
CREATE TRIGGER replay_resumer BEFORE UPDATE OF state ON replay
    FOR EACH ROW WHEN (NEW.state = 'running') EXECUTE FUNCTION note_resumer();
COMMENT ON COLUMN replay.ended_written_by IS
    'The database account that last began or resumed the plan, or changed state, ended_by or ended_because, by Postgres; null where none has since 0021. ended_by is what that account says';

DO $do$
BEGIN
    EXECUTE format($sql$
CREATE OR REPLACE FUNCTION let_go_dead_letters(plan uuid, topics text[], partitions int[], offsets bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    done bigint;
    whose text;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1651665262, 1);
    UPDATE %1$I.bridge_event_raw AS l
    SET disposition = CASE WHEN l.former_replay_id IS NULL THEN 'open' ELSE 'replayed' END,
        replay_id = l.former_replay_id, replayed_as = l.former_replayed_as,
        replay_digest = CASE WHEN l.former_replay_id IS NULL THEN l.replay_digest ELSE l.former_replay_digest END,
        former_replay_id = NULL, former_replayed_as = NULL, former_replay_digest = NULL, updated_at = now()
    FROM unnest(topics, partitions, offsets) AS n (raw_topic, raw_partition, raw_offset)
    WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
      AND l.disposition = 'claimed' AND l.replay_id = plan;
    GET DIAGNOSTICS done = ROW_COUNT;
    -- Within the function the current user is its owner.
    IF done = 0 OR pg_has_role(session_user, current_user, 'USAGE') THEN
        RETURN done;
    END IF;
    -- Checked after the rows are locked: a run takes its lock before it claims. A session may have read the list of sessions before.
    PERFORM pg_stat_clear_snapshot();
    SELECT coalesce(a.usename, '?') INTO whose
    FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND (l.classid::bigint << 32 | l.objid::bigint) = hashtextextended('script:dlq-replay:' || plan, 0)
      AND a.usename IS DISTINCT FROM session_user;
    IF FOUND THEN
        RAISE insufficient_privilege USING MESSAGE = format('let_go_dead_letters: %%s runs the plan %%s', whose, plan);
    END IF;
    IF NOT EXISTS (
        SELECT FROM %1$I.replay AS r WHERE r.replay_id = plan AND (r.state = 'cancelled' OR r.ended_written_by = session_user)
    ) THEN
        RAISE insufficient_privilege USING MESSAGE =
            format('let_go_dead_letters: %%s has neither cancelled nor resumed the plan %%s', session_user, plan);
    END IF;
    RETURN done;
END
$$
    $sql$, current_schema());
END
$do$;
COMMENT ON FUNCTION let_go_dead_letters(uuid, text[], int[], bigint[]) IS
    'Makes what the replay has claimed what it was before, open or replayed; returns how many. Refuses, to all but the owner, a plan that another account runs or that the caller has neither cancelled nor resumed.';

-- The condition is checked here, so that the function, which reads the whole row, is called for refused changes only.
CREATE TRIGGER bridge_event_raw_identity BEFORE UPDATE OF site_id, script_id, sender ON bridge_event_raw
    FOR EACH ROW WHEN (OLD.sender IS NOT NULL
                       AND (OLD.site_id, OLD.script_id, OLD.sender) IS DISTINCT FROM (NEW.site_id, NEW.script_id, NEW.sender))
    EXECUTE FUNCTION keep_history('site_id', 'script_id', 'sender');
