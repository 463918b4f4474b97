-- What a service's account says is held against what Postgres knows: a dead letter is discarded by a run that its account has in
-- hand, claimed for a plan that it is an item of, and let go to what it was; plans stay while they are young. What readers cast, add
-- up or follow has bounds. Rows that are there are not looked at, and each lock is held for a moment. The release before does no
-- more than this allows.

-- Readers cast these only where they are what Provenance.parse reads, so that a row from before breaks no listing.
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.name, t.part, t.type FROM (VALUES ('partition', 2, 'integer'), ('offset', 3, 'bigint')) AS t (name, part, type)
    LOOP
        EXECUTE format($sql$
CREATE OR REPLACE FUNCTION %1$I(place text) RETURNS %2$s LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN place ~ '^[^:]+:[0-9]{1,10}:[0-9]{1,19}$' THEN
        CASE WHEN split_part(place, ':', 2)::bigint < 2147483648 AND split_part(place, ':', 3)::numeric < 9223372036854775808
            THEN split_part(place, ':', %3$s)::%2$s END
    END
$$
        $sql$, 'place_' || one.name, one.type, one.part);
    END LOOP;
END
$do$;
COMMENT ON FUNCTION place_partition(text) IS 'The partition in a provenance, topic:partition:offset; null in any other text.';
COMMENT ON FUNCTION place_offset(text) IS 'The offset in a provenance, topic:partition:offset; null in any other text.';
CREATE OR REPLACE FUNCTION saturated(total numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT greatest(least(total, 9223372036854775807), -9223372036854775808)::bigint
$$;
COMMENT ON FUNCTION saturated(numeric) IS 'The number as bigint; the nearest one where it is out of range.';

DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.relation, string_agg(format($sql$
            CASE WHEN %1$I ~ '^[^:]+:[0-9]{1,10}:[0-9]{1,19}$' THEN
                split_part(%1$I, ':', 2)::bigint < 2147483648 AND split_part(%1$I, ':', 3)::numeric < 9223372036854775808
            ELSE %1$I IS NULL END
            $sql$, a.name), ' AND ' ORDER BY a.name) AS readable
        FROM (VALUES ('bridge_event_raw', 'replay_of, replayed_as'), ('replay_item', 'replayed_as')) AS t (relation, attributes)
        CROSS JOIN LATERAL string_to_table(t.attributes, ', ') AS a (name)
        GROUP BY t.relation
        ORDER BY t.relation
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%s) NOT VALID',
                       one.relation, one.relation || '_places', one.readable);
    END LOOP;
END
$do$;
-- The form, not the list: a later release may have more of them.
ALTER TABLE bridge_event_raw ADD CONSTRAINT bridge_event_raw_words
    CHECK (dropped_reason ~ '^[a-z][a-z0-9_]{0,62}$' AND error_class ~ '^[a-z][a-z0-9_]{0,62}$') NOT VALID;
-- What is moved to another window is added to the one and, below zero, to the other.
ALTER TABLE gate_window ADD CONSTRAINT gate_window_counts CHECK (
    greatest(processed, normalized, retried, dropped, dropped_invalid_payload_json, dropped_schema_violation,
             dropped_duplicate_event_id, dropped_sink_rejected_row, dropped_retry_exhausted) <= 1000000000000
    AND least(processed, normalized, retried, dropped, dropped_invalid_payload_json, dropped_schema_violation,
              dropped_duplicate_event_id, dropped_sink_rejected_row, dropped_retry_exhausted) >= -1000000000000
) NOT VALID;
ALTER TABLE replay ADD CONSTRAINT replay_counts CHECK (
    greatest(planned, published, sent_to) <= 1000000000000 AND least(planned, published, sent_to) >= 0
) NOT VALID;

-- As before, of places that are places.
CREATE OR REPLACE VIEW replay_outcome AS
SELECT i.replay_id, i.position, i.raw_topic, i.raw_partition, i.raw_offset, i.forecast, old.site_id,
       CASE WHEN old.raw_topic IS NULL THEN 'the ledger no longer holds it' ELSE i.skipped END AS skipped,
       s.replayed_as, new.dropped_reason, new.error_class, new.last_error,
       CASE
           WHEN s.replayed_as IS NULL AND old.replay_id = i.replay_id AND old.disposition = 'claimed'
               THEN CASE WHEN i.position <= r.sent_to THEN 'unsettled' ELSE 'in_doubt' END
           WHEN s.replayed_as IS NULL
               THEN CASE WHEN old.raw_topic IS NULL OR i.skipped IS NOT NULL THEN 'skipped' ELSE 'open' END
           WHEN place_offset(s.replayed_as) IS NULL THEN 'unsettled'
           WHEN NOT new.normalized THEN 'waiting'
           WHEN new.dropped_reason = 'duplicate_event_id' THEN 'duplicate'
           WHEN new.dropped_reason IS NOT NULL THEN 'dropped'
           ELSE 'persisted'
       END AS outcome
FROM replay_item AS i
JOIN replay AS r USING (replay_id)
LEFT JOIN bridge_event_raw AS old USING (raw_topic, raw_partition, raw_offset)
CROSS JOIN LATERAL (
    SELECT coalesce(i.replayed_as, CASE WHEN old.replay_id = i.replay_id THEN old.replayed_as END) AS replayed_as
) AS s
LEFT JOIN bridge_event_raw AS new
    ON new.raw_topic = split_part(s.replayed_as, ':', 1)
    AND new.raw_partition = place_partition(s.replayed_as)
    AND new.raw_offset = place_offset(s.replayed_as);

-- As before, without windows that have not begun. A worker's clock may be ahead of Postgres'.
CREATE OR REPLACE VIEW kpi_7d AS
SELECT site_id,
       sum(processed) - sum(retried) AS finished,
       sum(normalized) AS normalized,
       sum(dropped) AS dropped,
       sum(dropped_duplicate_event_id) AS duplicates,
       round(100.0 * sum(normalized)
             / nullif(sum(normalized) + sum(dropped) - sum(dropped_duplicate_event_id), 0), 3) AS success_rate_pct
FROM gate_window
WHERE NOT replay AND window_start >= now() - interval '7 days' AND window_start < now() + interval '1 hour'
GROUP BY site_id;
CREATE OR REPLACE VIEW gate_verdict AS
SELECT site_id, processed, normalized, retried, dropped, duplicates,
       100.0 * retried / nullif(processed, 0) AS retry_ratio_pct,
       100.0 * (dropped - duplicates) / nullif(processed, 0) AS drop_ratio_pct
FROM (
    SELECT site_id, sum(processed) AS processed, sum(normalized) AS normalized, sum(retried) AS retried,
           sum(dropped) AS dropped, sum(dropped_duplicate_event_id) AS duplicates
    FROM gate_window
    WHERE NOT replay AND window_start > now() - interval '30 minutes' AND window_start < now() + interval '1 hour'
    GROUP BY GROUPING SETS ((site_id), ())
) AS sums;

-- What a dead letter was before its claim, for those that are let go.
ALTER TABLE bridge_event_raw
    ADD COLUMN former_replay_id uuid, ADD COLUMN former_replayed_as text, ADD COLUMN former_replay_digest bytea;
COMMENT ON COLUMN bridge_event_raw.former_replay_id IS
    'The plan that had replayed the dead letter before it was claimed last; null if it was open then';
COMMENT ON COLUMN bridge_event_raw.former_replayed_as IS 'What replayed_as was then';
COMMENT ON COLUMN bridge_event_raw.former_replay_digest IS 'What replay_digest was then';

DO $do$
DECLARE
    places CONSTANT text := 'unnest(topics, partitions, offsets) AS n (raw_topic, raw_partition, raw_offset)';
    same CONSTANT text := 'l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset';
    own CONSTANT text := format('%I', current_schema());
    definer CONSTANT text := 'LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp';
    claims CONSTANT text := 'PERFORM pg_advisory_xact_lock_shared(1651665262, 1);';
    discarding record;
BEGIN
    FOR discarding IN
        SELECT t.name, t.more FROM (VALUES ('discard_dead_letters', ''), ('discard_sent_again', ', sent_again = true')) AS t (name, more)
    LOOP
        -- Within the function the current user is its owner.
        EXECUTE format($sql$
CREATE OR REPLACE FUNCTION %1$I(topics text[], partitions int[], offsets bigint[], run text) RETURNS bigint %2$s AS $$
DECLARE
    done bigint;
BEGIN
    IF NOT pg_has_role(session_user, current_user, 'USAGE') AND NOT EXISTS (
        SELECT FROM %3$s.script_run WHERE run_id = run AND written_by = session_user AND ended_at IS NULL
    ) THEN
        RAISE insufficient_privilege USING MESSAGE =
            format('%1$s: %%s has not begun the run %%L, or it has ended', session_user, left(run, 100));
    END IF;
    %4$s
    UPDATE %3$s.bridge_event_raw AS l
    SET disposition = 'discarded', discarded_by = run, updated_at = now()%5$s
    FROM %6$s
    WHERE %7$s AND l.disposition = 'open';
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END
$$
        $sql$, discarding.name, definer, own, claims, discarding.more, places, same);
    END LOOP;
    -- A cancel lets the batch in hand go out. What can't be claimed is not sent, so that it is all of them or none.
    EXECUTE format($sql$
CREATE OR REPLACE FUNCTION claim_dead_letters(plan uuid, topics text[], partitions int[], offsets bigint[], digests bytea[])
RETURNS void %1$s AS $$
DECLARE
    done bigint;
BEGIN
    %2$s
    PERFORM FROM %3$s.bridge_event_raw AS l JOIN %4$s ON %5$s
    WHERE l.disposition IN ('open', 'replayed')
    ORDER BY l.raw_topic, l.raw_partition, l.raw_offset
    FOR UPDATE OF l;
    UPDATE %3$s.replay_item AS i
    SET replayed_as = l.replayed_as
    FROM %3$s.bridge_event_raw AS l JOIN %4$s ON %5$s
    WHERE l.disposition = 'replayed' AND i.raw_topic = l.raw_topic AND i.raw_partition = l.raw_partition
      AND i.raw_offset = l.raw_offset AND i.replay_id = l.replay_id;
    UPDATE %3$s.bridge_event_raw AS l
    SET disposition = 'claimed', replay_id = plan, replayed_as = NULL, replay_digest = n.replay_digest, updated_at = now(),
        former_replay_id = CASE l.disposition WHEN 'replayed' THEN l.replay_id END,
        former_replayed_as = CASE l.disposition WHEN 'replayed' THEN l.replayed_as END,
        former_replay_digest = CASE l.disposition WHEN 'replayed' THEN l.replay_digest END
    FROM unnest(topics, partitions, offsets, digests) AS n (raw_topic, raw_partition, raw_offset, replay_digest)
    WHERE %5$s AND l.disposition IN ('open', 'replayed') AND EXISTS (
        SELECT
        FROM %3$s.replay_item AS i JOIN %3$s.replay AS r USING (replay_id)
        WHERE i.raw_topic = l.raw_topic AND i.raw_partition = l.raw_partition AND i.raw_offset = l.raw_offset
          AND i.replay_id = plan AND r.state IN ('running', 'cancelled')
    );
    GET DIAGNOSTICS done = ROW_COUNT;
    IF done IS DISTINCT FROM cardinality(topics) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = format(
            'of %%s dead letters %%s can be claimed for the plan %%s: the others are none of its items, or it is not running',
            cardinality(topics), done, plan);
    END IF;
END
$$
    $sql$, definer, claims, own, places, same);
    EXECUTE format($sql$
CREATE OR REPLACE FUNCTION let_go_dead_letters(plan uuid, topics text[], partitions int[], offsets bigint[]) RETURNS bigint %1$s AS $$
DECLARE
    done bigint;
BEGIN
    %2$s
    UPDATE %3$s.bridge_event_raw AS l
    SET disposition = CASE WHEN l.former_replay_id IS NULL THEN 'open' ELSE 'replayed' END,
        replay_id = l.former_replay_id, replayed_as = l.former_replayed_as,
        replay_digest = CASE WHEN l.former_replay_id IS NULL THEN l.replay_digest ELSE l.former_replay_digest END,
        former_replay_id = NULL, former_replayed_as = NULL, former_replay_digest = NULL, updated_at = now()
    FROM %4$s
    WHERE %5$s AND l.disposition = 'claimed' AND l.replay_id = plan;
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END
$$
    $sql$, definer, claims, own, places, same);
END
$do$;
COMMENT ON FUNCTION discard_dead_letters(text[], int[], bigint[], text) IS
    'Discards open dead letters, by a run that the caller''s account has in hand; returns how many. The ledger''s rows are changed so by accounts that may not lock them.';
COMMENT ON FUNCTION discard_sent_again(text[], int[], bigint[], text) IS
    'Discards open dead letters whose producers have sent their events again, by a run that the caller''s account has in hand; returns how many.';
COMMENT ON FUNCTION claim_dead_letters(uuid, text[], int[], bigint[], bytea[]) IS
    'Claims items of a plan in hand, open or replayed before, all or none; what they were is kept. The digests are those of the records that will be sent.';
COMMENT ON FUNCTION let_go_dead_letters(uuid, text[], int[], bigint[]) IS
    'Makes what the replay has claimed what it was before, open or replayed; returns how many.';

-- The conditions by which plans are pruned are the table's; what may not go yet stays, and the others go.
CREATE FUNCTION keep_young_plan() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holds boolean;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN OLD;
    END IF;
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$I.replay_item AS i JOIN %1$I.bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)'
        ' WHERE i.replay_id = $1 AND l.replay_id = $1 AND l.disposition = ''claimed'')', TG_TABLE_SCHEMA
    ) INTO holds USING OLD.replay_id;
    RETURN CASE WHEN holds OR OLD.updated_at > now() - interval '1 day' THEN NULL ELSE OLD END;
END
$$;
COMMENT ON FUNCTION keep_young_plan() IS
    'Trigger: keeps plans, for all but the owner, that were changed within a day or hold a claim of a dead letter.';
CREATE TRIGGER replay_kept_young BEFORE DELETE ON replay FOR EACH ROW EXECUTE FUNCTION keep_young_plan();

-- What is noted of a change is noted of a row that comes so.
CREATE OR REPLACE FUNCTION note_ender() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.ended_written_by := OLD.ended_written_by;
    IF (coalesce(OLD.state, 'planned'), coalesce(OLD.ended_by, ''), coalesce(OLD.ended_because, ''))
        IS DISTINCT FROM (NEW.state, NEW.ended_by, NEW.ended_because) THEN
        NEW.ended_written_by := session_user;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER replay_ended BEFORE INSERT ON replay FOR EACH ROW EXECUTE FUNCTION note_ender();
CREATE TRIGGER replay_item_skipped BEFORE INSERT ON replay_item
    FOR EACH ROW WHEN (NEW.skipped IS NOT NULL OR NEW.skipped_by IS NOT NULL) EXECUTE FUNCTION note_skipper();
CREATE OR REPLACE FUNCTION keep_successor() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
        RAISE insufficient_privilege USING MESSAGE = format('%s of replay_item.replayed_as: the ledger says otherwise', TG_OP);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER replay_item_succeeded BEFORE INSERT ON replay_item
    FOR EACH ROW WHEN (NEW.replayed_as IS NOT NULL) EXECUTE FUNCTION keep_successor();
