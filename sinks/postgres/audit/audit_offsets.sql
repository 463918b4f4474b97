-- The records read of each partition, and the running totals, over all consumer groups. `next_offset` is that of group
-- $1. At most $3 partitions, those of the topics $2 first, and of these the current logs, since a worker's account may write
-- any number of rows.
SELECT topic, partition,
       min(base_offset) AS base_offset,
       coalesce(max(next_offset) FILTER (WHERE group_id = $1), max(next_offset)) AS next_offset,
       max(next_offset) AS furthest,
       bool_or(group_id = $1) AS own,
       saturated(sum(next_offset::numeric - base_offset)) AS read,
       saturated(sum(live)) AS live,
       saturated(sum(normalized)) AS normalized,
       saturated(sum(retried)) AS retried,
       saturated(sum(dropped)) AS dropped,
       saturated(sum(stale)) AS stale,
       saturated(sum(skipped)) AS skipped,
       saturated(sum(lost)) AS lost,
       saturated(sum(lost_acknowledged)) AS lost_acknowledged
FROM stream_offset
GROUP BY topic, partition
ORDER BY split_part(topic, '#', 1) <> ALL ($2::text[]),
         row_number() OVER (PARTITION BY split_part(topic, '#', 1), partition ORDER BY length(topic) DESC, topic DESC),
         partition, topic
LIMIT $3
