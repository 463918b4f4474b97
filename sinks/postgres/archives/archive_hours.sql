-- The rows of events received from $1 until $2: numbers, offsets and a digest by hour and raw partition. The columns of a digest and
-- the condition that limits the rows are made from the catalogue, and are never user input.
WITH line AS (
    SELECT raw_topic, raw_partition, raw_offset, attempt, date_bin('1 hour', received_at, '2000-01-01 00:00+00') AS hour,
           sha256(record_send(ROW(%(digested)s))) AS digest, pg_column_size(e.*) AS bytes
    FROM bridge_event AS e
    WHERE received_at >= $1 AND received_at < $2 AND %(condition)s
)
SELECT raw_topic AS topic, raw_partition AS partition, hour, count(*) AS rows, count(*) FILTER (WHERE attempt = 1) AS at_once,
       min(raw_offset) AS first_offset, max(raw_offset) AS last_offset, sha256(string_agg(digest, '' ORDER BY raw_offset, digest)) AS sha256,
       sum(bytes)::bigint AS bytes
FROM line
GROUP BY raw_topic, raw_partition, hour
