-- How far group $1 has read raw topic $2, its counts on all topics, and the events since $3 that still wait.
SELECT saturated(coalesce(sum(next_offset) FILTER (WHERE topic = $2), 0)) AS read,
       saturated(coalesce(sum(epoch) FILTER (WHERE topic = $2), 0)) AS epochs,
       saturated(coalesce(sum(normalized), 0)) AS normalized,
       saturated(coalesce(sum(retried), 0)) AS retried,
       saturated(coalesce(sum(dropped), 0)) AS dropped,
       (SELECT count(*) FROM bridge_event_raw WHERE NOT normalized AND created_at >= $3) AS waiting
FROM stream_offset
WHERE group_id = $1
