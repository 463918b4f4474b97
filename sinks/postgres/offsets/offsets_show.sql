-- The group's position in each log, including replaced logs. `held` is the reason why the log is not read: an
-- operator's pause, else the worker's note.
SELECT topic, partition, next_offset, last_timestamp, worker, epoch,
       coalesce('paused by ' || paused_by || ': ' || reason, held) AS held, skipped, stale, lost
FROM stream_offset
LEFT JOIN pause ON pause.kind = 'partition' AND pause.target = split_part(topic, '#', 1) || ':' || partition
WHERE group_id = $1
ORDER BY split_part(topic, '#', 1), partition, length(topic), topic
