-- Blanks payload, key and headers of those of the ledger's rows $3 to $5 that are healed since before $6, and writes a closing entry for each raw
-- partition. Attempts, errors and times stay. $1 is the run, $2 the kind.
WITH held AS (
    SELECT l.raw_topic, l.raw_partition, l.raw_offset, coalesce(octet_length(l.payload), 0) + coalesce(octet_length(l.headers), 0)
               + coalesce(octet_length(l.record_key), 0) AS bytes,
           encode(sha256(coalesce(l.payload, '')), 'hex') AS payload_digest
    FROM bridge_event_raw AS l
    JOIN unnest($3::text[], $4::int[], $5::bigint[]) AS n (raw_topic, raw_partition, raw_offset) USING (raw_topic, raw_partition, raw_offset)
    WHERE l.normalized AND l.dropped_reason IS NULL AND l.outcome_at < $6 AND l.sender IS NOT NULL
      AND coalesce(l.payload, l.headers, l.record_key) IS NOT NULL
    ORDER BY l.raw_topic, l.raw_partition, l.raw_offset
    FOR UPDATE OF l
), blanked AS (
    UPDATE bridge_event_raw AS l
    SET payload = NULL, headers = NULL, record_key = NULL
    FROM held AS h
    WHERE l.raw_topic = h.raw_topic AND l.raw_partition = h.raw_partition AND l.raw_offset = h.raw_offset
    RETURNING h.raw_topic, h.raw_partition, h.raw_offset, h.bytes, h.payload_digest
)
INSERT INTO removal (run_id, kind, raw_topic, raw_partition, first_offset, last_offset, rows, bytes, rows_digest)
SELECT $1, $2, raw_topic, raw_partition, min(raw_offset), max(raw_offset), count(*), sum(bytes),
       sha256(convert_to(string_agg(concat_ws(' ', raw_offset, payload_digest), E'\n' ORDER BY raw_offset), 'UTF8'))
FROM blanked
GROUP BY raw_topic, raw_partition
ORDER BY raw_topic, raw_partition
RETURNING rows, bytes
