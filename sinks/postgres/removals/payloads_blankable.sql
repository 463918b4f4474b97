-- The next healed rows of the ledger after the place $1 to $3 that were healed before $4 and still have a payload, key or headers; at most $5
-- rows, and rows up to $6 bytes, but at least one. A row without a sender class keeps its headers, from which `bridge identity backfill` reads it.
SELECT raw_topic, raw_partition, raw_offset
FROM (
    SELECT c.*, row_number() OVER places AS number, sum(c.bytes) OVER places AS total
    FROM (
        SELECT raw_topic, raw_partition, raw_offset,
               coalesce(octet_length(payload), 0) + coalesce(octet_length(headers), 0) + coalesce(octet_length(record_key), 0) AS bytes
        FROM bridge_event_raw
        WHERE (raw_topic, raw_partition, raw_offset) > ($1, $2, $3) AND normalized AND dropped_reason IS NULL AND outcome_at < $4
          AND coalesce(payload, headers, record_key) IS NOT NULL AND sender IS NOT NULL
        ORDER BY raw_topic, raw_partition, raw_offset
        LIMIT $5
    ) AS c
    WINDOW places AS (ORDER BY c.raw_topic, c.raw_partition, c.raw_offset)
) AS page
WHERE number = 1 OR total <= $6
ORDER BY raw_topic, raw_partition, raw_offset
