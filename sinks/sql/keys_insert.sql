-- Claims the batch's keys, which come unique and in order, and tells those that somebody holds already.
WITH offered AS (
    SELECT event_key, received_at FROM unnest($1::bytea[], $2::timestamptz[]) AS n (event_key, received_at)
), claimed AS (
    INSERT INTO bridge_event_key (event_key, received_at)
    SELECT event_key, received_at FROM offered
    ON CONFLICT ON CONSTRAINT bridge_event_key_pkey DO NOTHING
    RETURNING event_key
)
SELECT event_key FROM offered WHERE event_key NOT IN (SELECT event_key FROM claimed)
