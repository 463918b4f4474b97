-- Acknowledges the records of each partition that retention deleted before they were read; returns their numbers.
WITH known AS (
    SELECT group_id, topic, partition, saturated(lost::numeric - lost_acknowledged) AS news FROM stream_offset
    WHERE topic = $1 AND partition = $2 AND lost > lost_acknowledged
    FOR UPDATE
)
UPDATE stream_offset AS o SET lost_acknowledged = o.lost, updated_at = now()
FROM known WHERE (o.group_id, o.topic, o.partition) = (known.group_id, known.topic, known.partition)
RETURNING known.news
