-- The group's position in each log, including replaced logs. `held` is the reason why the log is not read: an
-- operator's pause, else the worker's note. At most $3 logs, those of the topics $2 first, and of these the current logs,
-- since a worker's account may write any number of rows.
SELECT topic, partition, next_offset, last_timestamp, worker, epoch,
       coalesce('paused by ' || paused_by || ': ' || reason, held) AS held, skipped, stale, lost
FROM (
    SELECT *, row_number() OVER (
        PARTITION BY split_part(topic, '#', 1), partition
        ORDER BY topic ~ '^[^#]+(#([2-9]|[1-9][0-9]{1,8}))?$' DESC, length(topic) DESC, topic DESC
    ) AS age
    FROM stream_offset
    WHERE group_id = $1
    ORDER BY split_part(topic, '#', 1) <> ALL ($2::text[]), age, partition, topic
    LIMIT $3
) AS shown
LEFT JOIN pause ON pause.kind = 'partition' AND pause.target = split_part(topic, '#', 1) || ':' || partition
ORDER BY split_part(topic, '#', 1), partition, length(topic), topic
