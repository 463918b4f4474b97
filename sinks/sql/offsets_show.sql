-- Where the group stands in each log, those that others have taken the place of among them.
SELECT topic, partition, next_offset, last_timestamp, worker, epoch, held, skipped, stale, lost
FROM stream_offset
WHERE group_id = $1
ORDER BY split_part(topic, '#', 1), partition, length(topic), topic
