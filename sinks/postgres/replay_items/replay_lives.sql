-- The number of lives of these dead letters: they themselves, and those that they replay. Counted up to $4.
WITH RECURSIVE life (raw_topic, raw_partition, raw_offset, replay_of, lives) AS (
    SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.replay_of, 1
    FROM bridge_event_raw AS l
    JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
         USING (raw_topic, raw_partition, raw_offset)
    UNION ALL
    SELECT life.raw_topic, life.raw_partition, life.raw_offset, l.replay_of, life.lives + 1
    FROM life
    JOIN bridge_event_raw AS l
        ON l.raw_topic = split_part(life.replay_of, ':', 1)
        AND l.raw_partition = place_partition(life.replay_of)
        AND l.raw_offset = place_offset(life.replay_of)
    WHERE life.lives < $4
)
SELECT raw_topic, raw_partition, raw_offset, max(lives) AS lives FROM life GROUP BY raw_topic, raw_partition, raw_offset
