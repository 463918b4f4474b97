-- How far the items of the plan $1 behind position $2, at most up to $3, come to at most $4 bytes; one of them always fits.
SELECT coalesce(min(position) - 1, $3::bigint)
FROM (
    SELECT i.position, row_number() OVER items AS number,
           sum(coalesce(octet_length(l.payload), 0) + coalesce(octet_length(l.headers), 0)
               + coalesce(octet_length(l.record_key), 0)) OVER items AS bytes
    FROM replay_item AS i
    JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
    WHERE i.replay_id = $1 AND i.position > $2 AND i.position <= $3
    WINDOW items AS (ORDER BY i.position)
) AS behind
WHERE bytes > $4::bigint AND number > 1
