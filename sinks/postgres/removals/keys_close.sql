-- Removes the keys from before $5 in the blocks from $3 until $4 of their table, and writes a closing entry. $1 is the run, $2 the kind.
WITH gone AS (
    DELETE FROM bridge_event_key
    WHERE ctid >= format('(%s,0)', $3::bigint)::tid AND ctid < format('(%s,0)', $4::bigint)::tid AND received_at < $5
    RETURNING event_key, sender
)
INSERT INTO removal (run_id, kind, rows, bytes, keys, rows_digest)
SELECT $1, $2, count(*), 70 * count(*), count(*), sha256(string_agg(event_key, '' ORDER BY event_key))
FROM gone
HAVING count(*) > 0
RETURNING rows, bytes
