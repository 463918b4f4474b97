-- Per partition what has been read and the running totals, over all groups; `next_offset` is that of group $1.
SELECT topic, partition,
       min(base_offset) AS base_offset,
       coalesce(max(next_offset) FILTER (WHERE group_id = $1), max(next_offset)) AS next_offset,
       max(next_offset) AS furthest,
       bool_or(group_id = $1) AS own,
       sum(next_offset - base_offset)::bigint AS read,
       sum(live)::bigint AS live,
       sum(normalized)::bigint AS normalized,
       sum(retried)::bigint AS retried,
       sum(dropped)::bigint AS dropped,
       sum(stale)::bigint AS stale,
       sum(skipped)::bigint AS skipped,
       sum(lost)::bigint AS lost,
       sum(lost_acknowledged)::bigint AS lost_acknowledged
FROM stream_offset
GROUP BY topic, partition
ORDER BY topic, partition
