-- Where the group stands in each log, those that others have taken the place of among them. `held` says why nobody reads
-- it: an operator's pause, else what its worker noted.
SELECT topic, partition, next_offset, last_timestamp, worker, epoch,
       coalesce('paused by ' || paused_by || ': ' || reason, held) AS held, skipped, stale, lost
FROM stream_offset
LEFT JOIN pause ON pause.kind = 'partition' AND pause.target = split_part(topic, '#', 1) || ':' || partition
WHERE group_id = $1
ORDER BY split_part(topic, '#', 1), partition, length(topic), topic
