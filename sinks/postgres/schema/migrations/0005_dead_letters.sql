-- What operators look for dead letters by. `outcome_at` is when the last attempt was settled, of a dropped event when it
-- was dropped; what is done with the dead letter later does not move it. `cause` is the key of dead letters that were
-- dropped for the same reason with the same message but for its numbers, ids and quoted values. `event_hash` finds an
-- event id by a fifth of the index that the id itself would need.
CREATE FUNCTION normalized_message(message text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(
        -- What Postgres adds of a row it refuses is that row.
        split_part(message, E'\nDETAIL:', 1),
        -- In quotes; hexadecimal; whatever begins with a digit, such as numbers, times and ids; a name's number. Without
        -- captures it takes half the time, and it is asked of every drop.
        '''[^'']*'''
        '|\m[0-9a-f]{8}[0-9a-f-]*'
        '|\m[0-9][0-9A-Za-z]*(?:-[0-9A-Za-z]+|[.,:+][0-9][0-9A-Za-z]*)*'
        '|_[0-9]+',
        '…', 'g'
    )
$$;

-- One pass over the table does all of it. The columns are filled for what the release before writes, too.
ALTER TABLE bridge_event_raw ADD COLUMN outcome_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE bridge_event_raw
    ALTER COLUMN outcome_at TYPE timestamptz USING updated_at,
    ADD COLUMN cause bigint GENERATED ALWAYS AS (
        CASE WHEN dropped_reason IS NOT NULL THEN
            hashtextextended(dropped_reason || ' ' || error_class || ' ' || normalized_message(last_error), 0)
        END
    ) STORED,
    ADD COLUMN event_hash integer GENERATED ALWAYS AS (hashtext(event_id)) STORED,
    ADD COLUMN discarded_by text;

-- In the order in which pages are shown, with what they are most often narrowed by, so that rows need not be looked at.
-- Rows of one settlement share their time, so that a storm's entries are few.
DROP INDEX bridge_event_raw_dropped;
CREATE INDEX bridge_event_raw_dropped ON bridge_event_raw
    (outcome_at, disposition, dropped_reason, error_class, cause, retry_count) WHERE dropped_reason IS NOT NULL;
CREATE INDEX bridge_event_raw_site ON bridge_event_raw
    (site_id, outcome_at, dropped_reason, error_class, cause) WHERE dropped_reason IS NOT NULL AND disposition = 'open';
CREATE INDEX bridge_event_raw_script ON bridge_event_raw
    (script_id, outcome_at) WHERE dropped_reason IS NOT NULL AND disposition = 'open';
CREATE INDEX bridge_event_raw_event ON bridge_event_raw (event_hash) WHERE dropped_reason IS NOT NULL;
