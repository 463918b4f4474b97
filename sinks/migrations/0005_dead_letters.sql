-- What operators look for dead letters by. `outcome_at` is when the last attempt was settled, of a dropped event when it
-- was dropped; what is done with the dead letter later does not move it. `cause` is the key of dead letters that were
-- dropped for the same reason with the same message, numbers, ids and quoted values left out of it.
CREATE FUNCTION normalized_message(message text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN regexp_replace(
        split_part(message, E'\nDETAIL:', 1),
        $re$'[^']*[[:alnum:]][^']*'|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\m[0-9]+([.,:][0-9]+)*|_[0-9]+$re$,
        '…', 'g'
    );

-- One pass over the table for all of it. Both columns are filled for rows that the release before writes too.
ALTER TABLE bridge_event_raw ADD COLUMN outcome_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE bridge_event_raw
    ALTER COLUMN outcome_at TYPE timestamptz USING updated_at,
    ADD COLUMN cause bigint GENERATED ALWAYS AS (
        CASE WHEN dropped_reason IS NOT NULL THEN
            hashtextextended(dropped_reason || ' ' || error_class || ' ' || normalized_message(last_error), 0)
        END
    ) STORED;
