-- The sums of the closing entries of each partition; events that were brought back count negatively. At most $2 partitions, those of the topics $1 first.
SELECT raw_topic AS topic, raw_partition AS partition,
       min(first_offset) AS first_offset, max(last_offset) AS last_offset,
       saturated(sum(events)) AS events, saturated(sum(events_at_once)) AS events_at_once, saturated(sum(ledger)) AS ledger,
       saturated(sum(healed)) AS healed, saturated(sum(retried)) AS retried, saturated(sum(dropped)) AS dropped,
       saturated(sum(replays)) AS replays, saturated(sum(replayed)) AS replayed
FROM removal
WHERE ledger <> 0 OR events <> 0
GROUP BY raw_topic, raw_partition
ORDER BY split_part(raw_topic, '#', 1) <> ALL ($1::text[]), raw_partition, raw_topic
LIMIT $2
