-- What accounts write about runs, plans, the brake and the gate has a length, so that no row fills the memory of those who read it;
-- and a plan is as large and as old as it is. Rows that are there are not looked at, and each lock is held for a moment. The release
-- before does no more than this allows.
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.relation, string_agg(format('octet_length(%I::text) <= %s', a.name, t.most), ' AND ' ORDER BY t.most, a.name) AS bounded
        FROM (VALUES
            -- Names and places, sentences, documents.
            ('brake', 1000, 'group_id, changed_by'), ('brake', 10000, 'reason'), ('brake', 1000000, 'details'),
            ('gate_state', 1000, 'target'), ('gate_state', 1000000, 'change'),
            ('gate_window', 1000, 'topic'),
            ('replay', 1000, 'requested_by, ended_by'), ('replay', 10000, 'reason, ended_because'),
            ('replay', 100000000, 'filter, corrections, report'),
            ('replay_item', 1000, 'raw_topic, forecast, replayed_as'), ('replay_item', 10000, 'skipped'),
            ('script_run', 1000, 'run_id, started_by'), ('script_run', 10000000, 'summary')
        ) AS t (relation, most, attributes)
        CROSS JOIN LATERAL string_to_table(t.attributes, ', ') AS a (name)
        GROUP BY t.relation
        ORDER BY t.relation
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%s) NOT VALID',
                       one.relation, one.relation || '_lengths', one.bounded);
    END LOOP;
END
$do$;
-- The form, not the list: a later release may have more of them.
ALTER TABLE script_run ADD CONSTRAINT script_run_words CHECK (script ~ '^[a-z][a-z0-9-]{0,62}$') NOT VALID;

CREATE FUNCTION keep_size() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.updated_at := now();
    END IF;
    IF NEW.planned > coalesce(OLD.planned, 0) THEN
        EXECUTE format('SELECT count(*) FROM %I.replay_item WHERE replay_id = $1', TG_TABLE_SCHEMA) INTO found USING NEW.replay_id;
        IF NEW.planned > found THEN
            RAISE insufficient_privilege USING MESSAGE = format('%s of replay.planned: the plan has %s items', TG_OP, found);
        END IF;
    END IF;
    IF NEW.sent_to > coalesce(OLD.sent_to, 0) THEN
        EXECUTE format('SELECT coalesce(max(position), 0) FROM %I.replay_item WHERE replay_id = $1', TG_TABLE_SCHEMA)
        INTO found USING NEW.replay_id;
        IF NEW.sent_to > found THEN
            RAISE insufficient_privilege USING MESSAGE = format('%s of replay.sent_to: the last item is at %s', TG_OP, found);
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION keep_size() IS
    'Trigger: refuses to all but the owner a plan that is larger than its items, or sent beyond the last one; a new plan is as old as its row.';
CREATE TRIGGER replay_sized BEFORE INSERT OR UPDATE OF planned, sent_to ON replay FOR EACH ROW EXECUTE FUNCTION keep_size();
