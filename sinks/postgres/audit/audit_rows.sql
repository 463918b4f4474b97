-- The outcomes of the raw events of each partition. Events and ledger are each read once, and joined by provenance. The
-- outer grouping runs over a few kinds, so that its many conditions are not evaluated for every event. At most $2
-- partitions, those of the topics $1 first, since a worker's account may write any number of rows.
WITH event AS (
    SELECT raw_topic, raw_partition, raw_offset, count(*) AS copies, max(attempt) AS attempt
    FROM bridge_event
    GROUP BY raw_topic, raw_partition, raw_offset
), ledger AS (
    SELECT raw_topic, raw_partition, raw_offset, retry_count, normalized AND dropped_reason IS NULL AS healed,
           dropped_reason IS NOT NULL AS dropped, NOT normalized AS waiting
    FROM bridge_event_raw
), kind AS (
    SELECT raw_topic, raw_partition, e.copies, e.attempt, l.retry_count, l.healed, l.dropped, l.waiting,
           count(*) AS n, min(raw_offset) AS first_offset, max(raw_offset) AS last_offset
    FROM event AS e FULL JOIN ledger AS l USING (raw_topic, raw_partition, raw_offset)
    GROUP BY raw_topic, raw_partition, e.copies, e.attempt, l.retry_count, l.healed, l.dropped, l.waiting
), judged AS (
    SELECT *,
           copies > 1 AS is_doubled,
           healed AND copies IS NULL AS is_healed_without_event,
           attempt > 1 AND retry_count IS NULL AS is_retried_without_ledger,
           healed AND attempt > 1 AND attempt - 1::bigint <> retry_count AS is_other_attempt,
           copies > 0 AND (NOT healed OR healed AND attempt = 1) AS is_contradicted
    FROM kind
)
SELECT raw_topic AS topic, raw_partition AS partition,
       min(first_offset) AS first_offset,
       max(last_offset) AS last_offset,
       coalesce(sum(n * copies), 0)::bigint AS persisted,
       coalesce(sum(n * copies) FILTER (WHERE attempt = 1), 0)::bigint AS persisted_at_once,
       coalesce(sum(n) FILTER (WHERE retry_count IS NOT NULL), 0)::bigint AS ledger,
       coalesce(sum(n) FILTER (WHERE dropped), 0)::bigint AS dropped,
       coalesce(sum(n) FILTER (WHERE waiting), 0)::bigint AS waiting,
       coalesce(sum(n) FILTER (WHERE healed), 0)::bigint AS healed,
       coalesce(sum(n * retry_count), 0)::bigint AS retried,
       coalesce(sum(n * CASE WHEN waiting THEN retry_count - 1 ELSE retry_count END), 0)::bigint AS later_attempts,
       coalesce(sum(n) FILTER (WHERE is_doubled), 0)::bigint AS doubled,
       min(first_offset) FILTER (WHERE is_doubled) AS doubled_at,
       coalesce(sum(n) FILTER (WHERE is_healed_without_event), 0)::bigint AS healed_without_event,
       min(first_offset) FILTER (WHERE is_healed_without_event) AS healed_without_event_at,
       coalesce(sum(n) FILTER (WHERE is_retried_without_ledger), 0)::bigint AS retried_without_ledger,
       min(first_offset) FILTER (WHERE is_retried_without_ledger) AS retried_without_ledger_at,
       coalesce(sum(n) FILTER (WHERE is_other_attempt), 0)::bigint AS other_attempt,
       min(first_offset) FILTER (WHERE is_other_attempt) AS other_attempt_at,
       coalesce(sum(n) FILTER (WHERE is_contradicted), 0)::bigint AS contradicted,
       min(first_offset) FILTER (WHERE is_contradicted) AS contradicted_at
FROM judged
GROUP BY raw_topic, raw_partition
ORDER BY split_part(raw_topic, '#', 1) <> ALL ($1::text[]), raw_partition, raw_topic
LIMIT $2
