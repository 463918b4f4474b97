-- What operators look for dead letters by. `outcome_at` is when the last attempt was settled, of a dropped event when it
-- was dropped; what is done with the dead letter later does not move it. `cause` is the key of dead letters that were
-- dropped for the same reason with the same message but for its numbers, ids and quoted values.
CREATE FUNCTION normalized_message(message text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(
        -- What Postgres adds of a row it refuses is that row.
        split_part(message, E'\nDETAIL:', 1),
        -- In quotes; hexadecimal; whatever begins with a digit, such as numbers, times and ids; not the 8 of UTF-8.
        '''[^'']*'''
        '|((?:^|[^A-Za-z0-9-])-?)'
        '([0-9a-f]{8,}(-[0-9a-f]{4,})*|[0-9][0-9A-Za-z]*(-[0-9A-Za-z]+|[.,:+][0-9][0-9A-Za-z]*)*)',
        '\1…', 'g'
    )
$$;

-- One pass over the table does all of it. Both columns are filled for what the release before writes, too.
ALTER TABLE bridge_event_raw ADD COLUMN outcome_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE bridge_event_raw
    ALTER COLUMN outcome_at TYPE timestamptz USING updated_at,
    ADD COLUMN cause bigint GENERATED ALWAYS AS (
        CASE WHEN dropped_reason IS NOT NULL THEN
            hashtextextended(dropped_reason || ' ' || error_class || ' ' || normalized_message(last_error), 0)
        END
    ) STORED,
    ADD COLUMN discarded_by text;

-- Everything but rare texts is decided within the one index, in the order in which pages are shown.
DROP INDEX bridge_event_raw_dropped;
CREATE INDEX bridge_event_raw_dropped ON bridge_event_raw
    (outcome_at, disposition, dropped_reason, error_class, cause, site_id, script_id) WHERE dropped_reason IS NOT NULL;
CREATE INDEX bridge_event_raw_event ON bridge_event_raw (event_id, site_id, outcome_at) WHERE dropped_reason IS NOT NULL;
