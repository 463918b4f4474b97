-- Inserts those of the keys that no event holds, also while other transactions insert the same keys; returns the others.
-- The parameters are those of keys_insert.
WITH claimed AS (
    INSERT INTO bridge_event_key (event_key, received_at, sender)
    SELECT substr($1::bytea, 16 * at + 1, 16), $2::timestamptz, ($4::text[])[get_byte($3::bytea, at % length($3::bytea)) + 1]
    FROM generate_series(0, length($1::bytea) / 16 - 1) AS at
    ON CONFLICT ON CONSTRAINT bridge_event_key_pkey DO NOTHING
    RETURNING event_key
), offered AS (
    -- Most batches have no duplicate: counting the claims costs a tenth of looking up each key.
    SELECT substr($1::bytea, at, 16) AS event_key FROM generate_series(1, length($1::bytea), 16) AS at
    WHERE (SELECT count(*) FROM claimed) < length($1::bytea) / 16
)
SELECT event_key FROM offered WHERE event_key NOT IN (SELECT event_key FROM claimed)
