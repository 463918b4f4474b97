-- Limits of the ledger's rows (migrations 0028 and 0032) hold for new values only. A check is also asked by each update of a row that is
-- older than the check, and the release before limits neither key and headers of a waiting event nor what it keeps of a dead letter. So
-- a trigger refuses a new row, and an update that changes a value, beyond a limit. Its condition costs what the check did. The other
-- checks since 0010 stay: the release before has limits of its own within them. Each lock is held for a moment.
DO $do$
DECLARE
    limits text[];
BEGIN
    -- `@` stands for the row.
    SELECT array_agg(t.one ORDER BY t.place) INTO limits FROM (
        SELECT format('octet_length(@%s) <= %s', a.name, g.most), g.most * 100 + a.place
        FROM (VALUES
            (1000, 'discarded_by, former_replay_digest, former_replayed_as, raw_topic, replay_digest, replay_of, replayed_as, sender'),
            -- An index holds a script's id once the row is a dead letter, and an index holds no 8 kB.
            (1024, 'script_id'),
            (10000, 'event_id, last_error'),
            (10000000, 'headers, payload, record_key')
        ) AS g (most, attributes)
        CROSS JOIN LATERAL string_to_table(g.attributes, ', ') WITH ORDINALITY AS a (name, place)
        UNION ALL
        -- No worker reads more for one retry.
        SELECT '@normalized OR ' || w.waits, 10000000000 + w.place
        FROM unnest(ARRAY[
            '@retry_count < 1000000000', 'octet_length(@payload) <= 65536', 'octet_length(@record_key) <= 65536',
            'octet_length(@headers) <= 500000'
        ]) WITH ORDINALITY AS w (waits, place)
    ) AS t (one, place);

    -- Workers of the release before go on while they are replaced. They exceed these three limits only. Their account may update the whole
    -- table, and may read no new one.
    EXECUTE format($sql$
CREATE FUNCTION keep_limits() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    upgrading CONSTANT boolean := has_table_privilege(session_user, TG_RELID, 'UPDATE')
        AND EXISTS (SELECT FROM %I.gateway_trust WHERE legacy_until > clock_timestamp());
    one text;
    beyond boolean;
BEGIN
    FOREACH one IN ARRAY TG_ARGV LOOP
        CONTINUE WHEN upgrading AND one ~ '[(](headers|payload|record_key)[)]';
        EXECUTE format('SELECT NOT (%%s) FROM (SELECT ($1).*) AS r', one) INTO beyond USING NEW;
        IF beyond THEN
            RAISE check_violation USING
                MESSAGE = format('%%s of %%s is refused beyond the limit %%s', TG_OP, TG_TABLE_NAME, one),
                SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = TG_NAME;
        END IF;
    END LOOP;
    RETURN NEW;
END
$$
    $sql$, current_schema());
    REVOKE EXECUTE ON FUNCTION keep_limits() FROM PUBLIC;

    -- After the insert: a trigger before it would make COPY write each row by itself.
    EXECUTE format(
        'CREATE TRIGGER bridge_event_raw_limits AFTER INSERT ON bridge_event_raw FOR EACH ROW WHEN (NOT (%s)) EXECUTE FUNCTION keep_limits(%s)',
        (SELECT string_agg(format('(%s)', replace(one, '@', 'NEW.')), ' AND ' ORDER BY place)
         FROM unnest(limits) WITH ORDINALITY AS u (one, place)),
        (SELECT string_agg(quote_literal(replace(one, '@', '')), ', ' ORDER BY place)
         FROM unnest(limits) WITH ORDINALITY AS u (one, place))
    );
    EXECUTE format(
        'CREATE TRIGGER bridge_event_raw_limits_kept BEFORE UPDATE OF %s ON bridge_event_raw FOR EACH ROW WHEN (%s)'
        ' EXECUTE FUNCTION keep_limits(%s)',
        (SELECT string_agg(DISTINCT names[1], ', ')
         FROM unnest(limits) AS u (one) CROSS JOIN LATERAL regexp_matches(one, '@(\w+)', 'g') AS m (names)),
        (SELECT string_agg(format(
            '(NOT (%s) AND (%s))', replace(one, '@', 'NEW.'),
            (SELECT string_agg(format('NEW.%1$s IS DISTINCT FROM OLD.%1$s', names[1]), ' OR ')
             FROM regexp_matches(one, '@(\w+)', 'g') AS m (names))
         ), ' OR ' ORDER BY place)
         FROM unnest(limits) WITH ORDINALITY AS u (one, place)),
        (SELECT string_agg(quote_literal(replace(one, '@', '')), ', ' ORDER BY place)
         FROM unnest(limits) WITH ORDINALITY AS u (one, place))
    );
END
$do$;
COMMENT ON FUNCTION keep_limits() IS
    'Trigger: refuses values beyond the limits in its arguments. While headers without a proof are trusted, an account with the grants of the release before may exceed those of headers, payload and record_key.';
ALTER TABLE bridge_event_raw DROP CONSTRAINT IF EXISTS bridge_event_raw_lengths, DROP CONSTRAINT IF EXISTS bridge_event_raw_retried;

-- The same names of logs. A count in braces makes a regular expression slow, and it is asked for the few later logs only.
ALTER TABLE bridge_event_raw DROP CONSTRAINT bridge_event_raw_logs;
ALTER TABLE bridge_event_raw ADD CONSTRAINT bridge_event_raw_logs CHECK (
    raw_topic ~ '^[A-Za-z0-9._-]+$' OR raw_topic ~ '^[A-Za-z0-9._-]+#([2-9]|[1-9][0-9]{1,8})$'
) NOT VALID;
