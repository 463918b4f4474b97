-- A plan holds what the transaction that made it put in; how a run ended is the word of the account that began it; and a plan
-- names the account that ended it. Nothing is rewritten, and each lock is held for a moment. The release before does no more
-- than this allows.

-- Rows of earlier releases have no written_by: whoever has them in hand may end them.
CREATE TRIGGER script_run_ended_by_writer BEFORE UPDATE ON script_run
    FOR EACH ROW WHEN (OLD.written_by <> session_user)
    EXECUTE FUNCTION keep_history('ended_at', 'exit_code', 'summary');

-- What the dry run said, and how many items there are.
CREATE TRIGGER replay_report_kept BEFORE UPDATE ON replay
    FOR EACH ROW WHEN (OLD.written_at IS DISTINCT FROM now()) EXECUTE FUNCTION keep_history('planned', 'report');
-- Plans that nothing has touched for long are removed, by the time that this says.
CREATE TRIGGER replay_updated_now BEFORE UPDATE ON replay
    FOR EACH ROW WHEN (NEW.updated_at NOT IN (OLD.updated_at, now())) EXECUTE FUNCTION keep_history('updated_at');
CREATE TRIGGER replay_item_kept BEFORE UPDATE OF replay_id, position, raw_topic, raw_partition, raw_offset ON replay_item
    FOR EACH ROW EXECUTE FUNCTION keep_history('replay_id', 'position', 'raw_topic', 'raw_partition', 'raw_offset');

CREATE FUNCTION keep_plan() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    strange boolean;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM added AS i LEFT JOIN %I.replay AS r ON r.replay_id = i.replay_id AND r.written_at = now()'
        ' WHERE r.replay_id IS NULL OR i.position NOT BETWEEN 1 AND 1000000000)', TG_TABLE_SCHEMA
    ) INTO strange;
    IF strange THEN
        RAISE insufficient_privilege USING MESSAGE =
            'INSERT into replay_item: only the transaction that makes a plan gives it items, at positions from 1 to 1000000000';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION keep_plan() IS
    'Trigger: refuses to all but the owner items that do not come with their plan, and positions below 1 or above 1000000000.';
CREATE TRIGGER replay_item_planned AFTER INSERT ON replay_item REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_plan();

CREATE FUNCTION keep_successor() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known boolean;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %I.bridge_event_raw WHERE raw_topic = $1 AND raw_partition = $2 AND raw_offset = $3'
        ' AND replay_id = $4 AND replayed_as = $5)', TG_TABLE_SCHEMA
    ) INTO known USING NEW.raw_topic, NEW.raw_partition, NEW.raw_offset, NEW.replay_id, NEW.replayed_as;
    IF NOT known THEN
        RAISE insufficient_privilege USING MESSAGE = 'UPDATE of replay_item.replayed_as: the ledger says otherwise';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keep_successor() IS
    'Trigger: refuses to all but the owner that an item became what the ledger does not say that it became.';
CREATE TRIGGER replay_item_successor BEFORE UPDATE OF replayed_as ON replay_item
    FOR EACH ROW EXECUTE FUNCTION keep_successor();

ALTER TABLE replay ADD COLUMN ended_written_by text;
ALTER TABLE replay_item ADD COLUMN skipped_by text;
COMMENT ON COLUMN replay.ended_written_by IS
    'The database account that changed state, ended_by or ended_because last, by Postgres; null where none has since 0021. ended_by is what that account says';
COMMENT ON COLUMN replay_item.skipped_by IS
    'The database account that wrote skipped, by Postgres; null in rows of earlier releases. A run under another account looks at the item again';

CREATE FUNCTION note_ender() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.ended_written_by := OLD.ended_written_by;
    IF (OLD.state, OLD.ended_by, OLD.ended_because) IS DISTINCT FROM (NEW.state, NEW.ended_by, NEW.ended_because) THEN
        NEW.ended_written_by := session_user;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_ender() IS 'Trigger: notes the account that ends a run of a plan, or takes the plan up.';
CREATE TRIGGER replay_ender BEFORE UPDATE ON replay FOR EACH ROW EXECUTE FUNCTION note_ender();

CREATE FUNCTION note_skipper() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.skipped_by := session_user;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_skipper() IS 'Trigger: notes the account that passes over an item.';
CREATE TRIGGER replay_item_skipper BEFORE UPDATE OF skipped, skipped_by ON replay_item
    FOR EACH ROW EXECUTE FUNCTION note_skipper();
