-- The position of the last item of the next page of the plan $1 after position $2. The page has at most $3 items with
-- at most $4 bytes together, but at least one item. Each item counts $5 bytes more than it has. Null if no item is left,
-- since positions may have gaps.
SELECT max(position)
FROM (
    SELECT i.position, row_number() OVER items AS number,
           sum(coalesce(octet_length(l.payload), 0) + coalesce(octet_length(l.headers), 0)
               + coalesce(octet_length(l.record_key), 0) + $5::bigint) OVER items AS bytes
    FROM (
        SELECT position, raw_topic, raw_partition, raw_offset
        FROM replay_item
        WHERE replay_id = $1 AND position > $2
        ORDER BY position
        LIMIT $3
    ) AS i
    LEFT JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
    WINDOW items AS (ORDER BY i.position)
) AS behind
WHERE bytes <= $4::bigint OR number = 1
