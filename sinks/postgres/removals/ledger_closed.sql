-- The next rows of the ledger after the place $1 to $3 that may be removed and were last changed before $4; at most $5 rows, and rows up to
-- $6 bytes, but at least one.
SELECT raw_topic, raw_partition, raw_offset
FROM (
    SELECT c.*, row_number() OVER places AS number, sum(c.bytes) OVER places AS total
    FROM (
        SELECT raw_topic, raw_partition, raw_offset, bytes
        FROM closed_ledger
        WHERE (raw_topic, raw_partition, raw_offset) > ($1, $2, $3) AND closed_at < $4
        ORDER BY raw_topic, raw_partition, raw_offset
        LIMIT $5
    ) AS c
    WINDOW places AS (ORDER BY c.raw_topic, c.raw_partition, c.raw_offset)
) AS page
WHERE number = 1 OR total <= $6
ORDER BY raw_topic, raw_partition, raw_offset
