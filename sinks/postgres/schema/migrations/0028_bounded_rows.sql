-- Each text that a service's account writes has a length, and each log a name that readers can read; history is as old as Postgres'
-- clock says, also in a transaction that was begun long before; and no account but the owner makes functions where the product's
-- statements look for theirs. Rows that are there are not looked at, and each lock is held for a moment. The release before does no
-- more than this allows.
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.relation, t.constrained,
               string_agg(format(CASE format_type(a.atttypid, NULL)
                                      -- Its text may be far longer than what is stored, and costs more to make.
                                      WHEN 'jsonb' THEN 'pg_column_size(%I) <= %s' ELSE 'octet_length(%I) <= %s' END,
                                 a.attname, t.most), ' AND ' ORDER BY t.most, a.attname) AS bounded
        FROM (VALUES
            -- Digests, keys, names and places; sentences; documents.
            ('api_token_use', 'lengths', 1000, 'key_id'),
            ('bridge_event', 'lengths', 1000, 'raw_topic, sender'),
            ('bridge_event', 'lengths', 1000000,
             'currency, event_id, event_type, original, properties, referrer, referrer_host, script_id, session_id, url, url_host,'
             ' url_path, user_agent, utm_campaign, utm_content, utm_medium, utm_source, utm_term, visitor_id'),
            ('bridge_event_key', 'lengths', 1000, 'event_key, sender'),
            ('bridge_event_raw', 'lengths', 1000,
             'discarded_by, former_replay_digest, former_replayed_as, raw_topic, replay_digest, replay_of, replayed_as, sender'),
            ('bridge_event_raw', 'lengths', 10000, 'event_id, last_error, script_id'),
            -- A body of more than 1 MiB is cut; a control character in a header's name takes six bytes in JSON.
            ('bridge_event_raw', 'lengths', 10000000, 'headers, payload, record_key'),
            ('bridge_event_superseded', 'lengths', 1000, 'raw_topic'),
            ('bridge_event_superseded', 'lengths', 1000000, 'event_id'),
            ('replay', 'accounts', 1000, 'ended_written_by, written_by'),
            ('replay_item', 'accounts', 1000, 'skipped_by'),
            ('script_run', 'accounts', 1000, 'written_by'),
            ('stream_offset', 'lengths', 1000, 'cluster_id, group_id, last_digest, topic, worker'),
            ('stream_offset', 'lengths', 10000, 'held')
        ) AS t (relation, constrained, most, attributes)
        CROSS JOIN LATERAL string_to_table(t.attributes, ', ') AS n (name)
        JOIN pg_attribute AS a ON a.attrelid = t.relation::regclass AND a.attname = n.name
        GROUP BY t.relation, t.constrained
        ORDER BY t.relation
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%s) NOT VALID',
                       one.relation, one.relation || '_' || one.constrained, one.bounded);
    END LOOP;
    -- A topic's name in Kafka, or that of one of its later logs.
    FOR one IN
        SELECT t.relation, t.attribute FROM (VALUES
            ('bridge_event_raw', 'raw_topic'), ('bridge_event_superseded', 'raw_topic'), ('gate_window', 'topic'),
            ('replay_item', 'raw_topic'), ('stream_offset', 'topic')
        ) AS t (relation, attribute)
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%I ~ %L) NOT VALID',
                       one.relation, one.relation || '_logs', one.attribute, '^[A-Za-z0-9._-]+(#([2-9]|[1-9][0-9]{1,8}))?$');
    END LOOP;
END
$do$;

-- now() is when the transaction began: an account would choose how old what it writes is. Which transaction made a plan is noted by
-- its number, and holds only for a plan that is not older than the transaction: numbers begin again in a restored database.
ALTER TABLE replay ADD COLUMN written_in xid8;
COMMENT ON COLUMN replay.written_in IS 'The transaction that made the plan, which alone gives it items; null in rows of earlier releases';

CREATE OR REPLACE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.written_by := session_user;
    NEW.written_at := clock_timestamp();
    RETURN NEW;
END
$$;
CREATE FUNCTION note_transaction() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.written_in := pg_current_xact_id();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_transaction() IS 'Trigger: notes the transaction that makes a plan.';
CREATE TRIGGER replay_written_in BEFORE INSERT ON replay FOR EACH ROW EXECUTE FUNCTION note_transaction();
DROP TRIGGER replay_writer_kept ON replay;
CREATE TRIGGER replay_writer_kept BEFORE UPDATE ON replay
    FOR EACH ROW EXECUTE FUNCTION keep_history('written_by', 'written_at', 'written_in');

CREATE FUNCTION made_now(plan replay) RETURNS boolean LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(plan.written_in = pg_current_xact_id_if_assigned() AND plan.written_at >= now(), false)
$$;
COMMENT ON FUNCTION made_now(replay) IS 'Whether the transaction that asks is the one that makes the plan.';

DROP TRIGGER replay_report_kept ON replay;
CREATE TRIGGER replay_report_kept BEFORE UPDATE ON replay
    FOR EACH ROW WHEN (NOT made_now(OLD)) EXECUTE FUNCTION keep_history('planned', 'report');

CREATE OR REPLACE FUNCTION keep_plan() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    strange boolean;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NULL;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM added AS i LEFT JOIN %1$I.replay AS r ON r.replay_id = i.replay_id AND %1$I.made_now(r)'
        ' WHERE r.replay_id IS NULL OR i.position NOT BETWEEN 1 AND 1000000000)', TG_TABLE_SCHEMA
    ) INTO strange;
    IF strange THEN
        RAISE insufficient_privilege USING MESSAGE =
            'INSERT into replay_item: only the transaction that makes a plan gives it items, at positions from 1 to 1000000000';
    END IF;
    RETURN NULL;
END
$$;
DO $do$
BEGIN
    EXECUTE format($sql$
CREATE OR REPLACE FUNCTION keep_passing(plan uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DELETE FROM %1$I.replay_item AS i
USING %1$I.replay AS r
WHERE i.replay_id = plan AND i.forecast <> 'passes' AND r.replay_id = plan AND %1$I.made_now(r)
$$
    $sql$, current_schema());
END
$do$;

CREATE OR REPLACE FUNCTION keep_size() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found bigint;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.updated_at := clock_timestamp();
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
-- Behind `replay_updated_now`, which refuses any other time than the transaction's.
CREATE FUNCTION note_update() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        NEW.updated_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_update() IS 'Trigger: notes when a plan is changed, by Postgres'' clock.';
CREATE TRIGGER replay_updated_when BEFORE UPDATE ON replay
    FOR EACH ROW WHEN (NEW.updated_at <> OLD.updated_at) EXECUTE FUNCTION note_update();

-- What pg_upgrade keeps of Postgres 14 and older. Who owns no schema takes nothing from it: `bridge db check` names it then.
DO $do$
BEGIN
    IF EXISTS (SELECT FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS x
               WHERE n.nspname = current_schema() AND x.grantee = 0 AND x.privilege_type = 'CREATE'
                 AND pg_has_role(n.nspowner, 'USAGE')) THEN
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    END IF;
END
$do$;
