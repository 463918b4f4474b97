-- Claims the batch's keys and returns those that are held already. $1 has the keys, of 16 bytes each, unique, in order
-- and concatenated: one value costs a tenth of an array. $2 is a time not before any of their events. $3 has a byte for
-- each key, the index of its sender class in $4, or a single byte if all have one class.
WITH offered AS (
    SELECT substr($1::bytea, 16 * at + 1, 16) AS event_key, ($4::text[])[get_byte($3::bytea, at % length($3::bytea)) + 1] AS sender
    FROM generate_series(0, length($1::bytea) / 16 - 1) AS at
), claimed AS (
    INSERT INTO bridge_event_key (event_key, received_at, sender)
    SELECT event_key, $2::timestamptz, sender FROM offered
    ON CONFLICT ON CONSTRAINT bridge_event_key_pkey DO NOTHING
    RETURNING event_key
)
-- Most batches have no duplicate: counting the claims costs a tenth of looking up each key.
SELECT event_key FROM offered
WHERE (SELECT count(*) FROM claimed) < length($1::bytea) / 16 AND event_key NOT IN (SELECT event_key FROM claimed)
