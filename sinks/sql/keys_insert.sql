-- Claims the batch's keys ($1: 16 bytes each, unique, in order, one after another) and tells those that somebody
-- holds already. One value for all costs a tenth of what an array of them does; $2 is not before any of their events.
WITH offered AS (
    SELECT substr($1::bytea, at, 16) AS event_key FROM generate_series(1, length($1::bytea), 16) AS at
), claimed AS (
    INSERT INTO bridge_event_key (event_key, received_at)
    SELECT event_key, $2::timestamptz FROM offered
    ON CONFLICT ON CONSTRAINT bridge_event_key_pkey DO NOTHING
    RETURNING event_key
)
SELECT event_key FROM offered WHERE event_key NOT IN (SELECT event_key FROM claimed)
