-- Each removal of rows is accounted for by closing entries, so that the audit balances after it: rows that are kept + closing entries = running
-- totals. Plans of retention say what is removed. Nothing is removed until an operator sets a retention and applies a reviewed plan. Rows that
-- are there are not looked at, and each lock is held for a moment. The release before reads and writes its tables as before.

CREATE TABLE removal (
    removal_id bigint NOT NULL,
    removed_at timestamptz NOT NULL,
    run_id text NOT NULL,
    kind text NOT NULL,
    raw_topic text,
    raw_partition integer,
    first_offset bigint,
    last_offset bigint,
    rows bigint NOT NULL,
    bytes bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    events_at_once bigint NOT NULL DEFAULT 0,
    ledger bigint NOT NULL DEFAULT 0,
    healed bigint NOT NULL DEFAULT 0,
    retried bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    reasons jsonb NOT NULL DEFAULT '{}',
    replays bigint NOT NULL DEFAULT 0,
    replayed bigint NOT NULL DEFAULT 0,
    keys bigint NOT NULL DEFAULT 0,
    rows_digest bytea NOT NULL,
    archived_as text,
    written_by text NOT NULL,
    previous bytea NOT NULL,
    digest bytea NOT NULL,
    CONSTRAINT removal_pkey PRIMARY KEY (removal_id),
    CONSTRAINT removal_kind CHECK (kind ~ '^[a-z][a-z_]*$' AND octet_length(kind) <= 63),
    CONSTRAINT removal_times CHECK (removed_at >= '0001-01-01 00:00:00+00' AND removed_at <= '9999-12-31 23:59:59.999999+00'),
    CONSTRAINT removal_place CHECK (
        CASE WHEN ledger + events > 0 THEN (raw_topic, raw_partition, first_offset, last_offset) IS NOT NULL AND first_offset <= last_offset
             ELSE true END
    )
);

-- The last entry, so that the removal of the last entries is found too. Its row is locked while an entry is added.
CREATE TABLE removal_head (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    removals bigint NOT NULL,
    digest bytea NOT NULL
);
INSERT INTO removal_head (removals, digest) VALUES (0, '');

CREATE TABLE retention_plan (
    plan_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    run_id text NOT NULL,
    applied_at timestamptz,
    CONSTRAINT retention_plan_times CHECK (
        created_at >= '0001-01-01 00:00:00+00' AND created_at <= '9999-12-31 23:59:59.999999+00'
        AND applied_at >= '0001-01-01 00:00:00+00' AND applied_at <= '9999-12-31 23:59:59.999999+00'
    )
);

CREATE TABLE retention_step (
    plan_id uuid NOT NULL REFERENCES retention_plan ON DELETE CASCADE,
    kind text NOT NULL,
    keep text NOT NULL,
    before timestamptz NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    position jsonb,
    rows_removed bigint NOT NULL DEFAULT 0,
    bytes_removed bigint NOT NULL DEFAULT 0,
    ended_at timestamptz,
    CONSTRAINT retention_step_pkey PRIMARY KEY (plan_id, kind),
    CONSTRAINT retention_step_times CHECK (
        before >= '0001-01-01 00:00:00+00' AND before <= '9999-12-31 23:59:59.999999+00'
        AND ended_at >= '0001-01-01 00:00:00+00' AND ended_at <= '9999-12-31 23:59:59.999999+00'
    )
);

-- As migration 0031 for the other tables.
DO $do$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT a.attrelid::regclass AS relation, a.attname
        FROM pg_attribute AS a
        WHERE a.attrelid IN ('removal'::regclass, 'removal_head'::regclass, 'retention_plan'::regclass, 'retention_step'::regclass)
            AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage = 'x'
        ORDER BY a.attrelid::regclass::text, a.attnum
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', found.relation, found.attname);
    END LOOP;
END
$do$;

-- Of all columns but the digest itself; empty columns are left out, so that a later migration may add columns that allow null. The text does
-- not depend on settings of the session.
CREATE FUNCTION removal_digest(entry removal) RETURNS bytea LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET bytea_output = 'hex' AS $$
    SELECT sha256(entry.previous || convert_to(jsonb_strip_nulls(to_jsonb(entry) - 'digest')::text, 'UTF8'))
$$;

CREATE FUNCTION chain_removal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
BEGIN
    EXECUTE format('SELECT removals, digest FROM %I.removal_head FOR UPDATE', TG_TABLE_SCHEMA) INTO STRICT head;
    NEW.removal_id := head.removals + 1;
    NEW.removed_at := clock_timestamp();
    NEW.written_by := session_user;
    NEW.previous := head.digest;
    EXECUTE format('SELECT %I.removal_digest($1)', TG_TABLE_SCHEMA) INTO STRICT NEW.digest USING NEW;
    EXECUTE format('UPDATE %I.removal_head SET removals = $1, digest = $2', TG_TABLE_SCHEMA) USING NEW.removal_id, NEW.digest;
    RETURN NEW;
END
$$;
CREATE TRIGGER removal_chained BEFORE INSERT ON removal FOR EACH ROW EXECUTE FUNCTION chain_removal();

CREATE FUNCTION keep_removals() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE =
        format('%s of %s: closing entries account for removed rows and are never changed', TG_OP, TG_TABLE_NAME);
END
$$;
CREATE TRIGGER removal_kept BEFORE UPDATE OR DELETE ON removal FOR EACH ROW EXECUTE FUNCTION keep_removals();
CREATE TRIGGER removal_not_truncated BEFORE TRUNCATE ON removal FOR EACH STATEMENT EXECUTE FUNCTION keep_removals();
CREATE TRIGGER removal_head_kept BEFORE INSERT OR DELETE ON removal_head FOR EACH ROW EXECUTE FUNCTION keep_removals();
CREATE TRIGGER removal_head_not_truncated BEFORE TRUNCATE ON removal_head FOR EACH STATEMENT EXECUTE FUNCTION keep_removals();

-- The rows of the ledger that no part of the product needs any more:
-- - a duplicate, a healed or a discarded one, and a replayed one whose last replay is one of these or has no row, which is so if it was persisted
--   at its first attempt;
-- - not an item of a plan, because a plan's outcomes are read from the rows of its items;
-- - not a replay of a row that is still there, because what became of that row is read from the rows of its replays. So a chain is removed from
--   its first row on.
CREATE VIEW closed_ledger AS
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.updated_at AS closed_at,
       -- 200 bytes are those of the columns of fixed or small length.
       200::bigint + octet_length(l.last_error) + coalesce(octet_length(l.payload), 0) + coalesce(octet_length(l.headers), 0)
           + coalesce(octet_length(l.record_key), 0) AS bytes
FROM bridge_event_raw AS l
WHERE l.normalized
  AND (l.dropped_reason IS NULL OR l.dropped_reason = 'duplicate_event_id' AND l.disposition IS NULL
       OR l.disposition IN ('discarded', 'replayed'))
  AND NOT EXISTS (
      SELECT FROM replay_item AS i
      WHERE i.raw_topic = l.raw_topic AND i.raw_partition = l.raw_partition AND i.raw_offset = l.raw_offset
  )
  AND (l.replay_of IS NULL OR NOT EXISTS (
      SELECT FROM bridge_event_raw AS o
      WHERE o.raw_topic = split_part(l.replay_of, ':', 1)
        AND o.raw_partition = place_partition(l.replay_of) AND o.raw_offset = place_offset(l.replay_of)
  ))
  AND (l.disposition IS DISTINCT FROM 'replayed' OR NOT EXISTS (
      WITH RECURSIVE life AS (
          SELECT l.replayed_as AS replayed_as, false AS open, 1 AS lives
          UNION ALL
          SELECT CASE WHEN n.disposition = 'replayed' THEN n.replayed_as END,
                 NOT n.normalized OR coalesce(n.disposition IN ('open', 'claimed'), false), life.lives + 1
          FROM life
          JOIN bridge_event_raw AS n
              ON n.raw_topic = split_part(life.replayed_as, ':', 1)
              AND n.raw_partition = place_partition(life.replayed_as)
              AND n.raw_offset = place_offset(life.replayed_as)
          WHERE life.replayed_as IS NOT NULL AND life.lives <= 100
      )
      SELECT FROM life WHERE life.open OR life.lives > 100
  ));

-- Counts of more than one minute, since retention adds the counts of minutes up to hours and days.
ALTER TABLE gate_window ADD COLUMN minutes integer NOT NULL DEFAULT 1;
ALTER TABLE gate_window ADD CONSTRAINT gate_window_minutes CHECK (minutes IN (1, 60, 1440)) NOT VALID;

COMMENT ON COLUMN gate_window.window_start IS 'Begin of the minute, hour or day, in UTC';
COMMENT ON COLUMN gate_window.minutes IS
    'Of how many minutes the row has the counts: 1, 60 (an hour) or 1440 (a day); retention adds up old minutes';

COMMENT ON TABLE removal IS
    'Closing entries: what was removed, in sums. The transaction that removes rows adds an entry for each raw partition. Each entry has the digest of the entry before it. Postgres refuses changes.';
COMMENT ON COLUMN removal.removal_id IS 'Number of the entry, without gaps';
COMMENT ON COLUMN removal.removed_at IS 'When the entry was written, by Postgres'' clock';
COMMENT ON COLUMN removal.run_id IS 'The run that removed the rows';
COMMENT ON COLUMN removal.kind IS 'What was removed: ledger (rows of bridge_event_raw), payloads (of healed ones), minute_windows (added up to hours), hour_windows (to days), keys, runs, events';
COMMENT ON COLUMN removal.raw_topic IS 'Provenance of the removed rows: the raw topic; null for rows without one';
COMMENT ON COLUMN removal.raw_partition IS 'Provenance: the partition; null for rows without one';
COMMENT ON COLUMN removal.first_offset IS 'Provenance: the lowest offset; null for rows without one';
COMMENT ON COLUMN removal.last_offset IS 'Provenance: the highest offset; null for rows without one';
COMMENT ON COLUMN removal.rows IS 'How many rows were removed or blanked';
COMMENT ON COLUMN removal.bytes IS 'Their size in bytes, without indexes';
COMMENT ON COLUMN removal.events IS 'Of these, rows of bridge_event';
COMMENT ON COLUMN removal.events_at_once IS 'Of these, events that were persisted at their first attempt';
COMMENT ON COLUMN removal.ledger IS 'Rows of bridge_event_raw';
COMMENT ON COLUMN removal.healed IS 'Of the ledger''s rows, healed ones';
COMMENT ON COLUMN removal.retried IS 'Of the ledger''s rows, the sum of retry_count';
COMMENT ON COLUMN removal.dropped IS 'Of the ledger''s rows, dropped ones';
COMMENT ON COLUMN removal.reasons IS 'The dropped ones by dropped_reason';
COMMENT ON COLUMN removal.replays IS 'Of the dropped ones, replays of others';
COMMENT ON COLUMN removal.replayed IS 'Of the dropped ones, those whose replay was read';
COMMENT ON COLUMN removal.keys IS 'Rows of bridge_event_key';
COMMENT ON COLUMN removal.rows_digest IS 'SHA-256 of the removed rows'' places and kinds, in order';
COMMENT ON COLUMN removal.archived_as IS 'Where the rows are archived; null if they are not';
COMMENT ON COLUMN removal.written_by IS 'The database account that wrote the entry, by Postgres';
COMMENT ON COLUMN removal.previous IS 'Digest of the entry before; empty for the first';
COMMENT ON COLUMN removal.digest IS 'SHA-256 of the entry and the digest before it: removal_digest()';
COMMENT ON TABLE removal_head IS 'The end of the chain of closing entries; one row.';
COMMENT ON COLUMN removal_head.singleton IS 'Always true';
COMMENT ON COLUMN removal_head.removals IS 'Number of the last entry';
COMMENT ON COLUMN removal_head.digest IS 'Digest of the last entry; empty without any';
COMMENT ON TABLE retention_plan IS 'Plans of retention, which an operator reviews and applies.';
COMMENT ON COLUMN retention_plan.plan_id IS 'The plan';
COMMENT ON COLUMN retention_plan.created_at IS 'When it was made';
COMMENT ON COLUMN retention_plan.created_by IS 'Who made it, by the name that the process gives';
COMMENT ON COLUMN retention_plan.run_id IS 'The run that made it';
COMMENT ON COLUMN retention_plan.applied_at IS 'When all its steps were complete; null before';
COMMENT ON TABLE retention_step IS 'The steps of a plan of retention, and how far each has come.';
COMMENT ON COLUMN retention_step.plan_id IS 'The plan';
COMMENT ON COLUMN retention_step.kind IS 'What it removes, as in removal.kind';
COMMENT ON COLUMN retention_step.keep IS 'For how long such rows are kept: the setting when the plan was made';
COMMENT ON COLUMN retention_step.before IS 'Only rows from before this time are removed';
COMMENT ON COLUMN retention_step.rows IS 'How many rows it removes, by the plan';
COMMENT ON COLUMN retention_step.bytes IS 'Their size in bytes, by the plan';
COMMENT ON COLUMN retention_step.position IS 'The place after which an interrupted step continues; null at its beginning';
COMMENT ON COLUMN retention_step.rows_removed IS 'How many rows it has removed';
COMMENT ON COLUMN retention_step.bytes_removed IS 'Their size in bytes';
COMMENT ON COLUMN retention_step.ended_at IS 'When it was complete; null before';
COMMENT ON VIEW closed_ledger IS 'Rows of the ledger that may be removed: finished, in no plan, and not needed to follow a replay that is not finished.';
COMMENT ON COLUMN closed_ledger.raw_topic IS 'Provenance of the raw event: the raw topic';
COMMENT ON COLUMN closed_ledger.raw_partition IS 'Provenance: the partition';
COMMENT ON COLUMN closed_ledger.raw_offset IS 'Provenance: the offset';
COMMENT ON COLUMN closed_ledger.closed_at IS 'When the row was last changed';
COMMENT ON COLUMN closed_ledger.bytes IS 'Its size in bytes, without indexes';
COMMENT ON FUNCTION removal_digest(removal) IS 'SHA-256 of a closing entry and of the digest before it.';
COMMENT ON FUNCTION chain_removal() IS 'Trigger: gives a closing entry its number, time, account and digests.';
COMMENT ON FUNCTION keep_removals() IS 'Trigger: refuses each change of closing entries.';
