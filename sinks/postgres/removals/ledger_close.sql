-- Removes those of the ledger's rows $3 to $5 that may still be removed and were last changed before $6, and writes a closing entry for each raw
-- partition, with the sums of the rows that were removed. $1 is the run, $2 the kind.
WITH gone AS (
    DELETE FROM bridge_event_raw AS l
    USING unnest($3::text[], $4::int[], $5::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
    JOIN closed_ledger AS c USING (raw_topic, raw_partition, raw_offset)
    WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset AND c.closed_at < $6
    RETURNING l.raw_topic, l.raw_partition, l.raw_offset, l.retry_count, l.dropped_reason, l.disposition, l.replay_of, l.replayed_as, c.bytes
), by_reason AS (
    SELECT raw_topic, raw_partition, dropped_reason, count(*) AS dropped FROM gone WHERE dropped_reason IS NOT NULL
    GROUP BY raw_topic, raw_partition, dropped_reason
), reason AS (
    SELECT raw_topic, raw_partition, jsonb_object_agg(dropped_reason, dropped) AS reasons FROM by_reason GROUP BY raw_topic, raw_partition
), entry AS (
    SELECT raw_topic, raw_partition, min(raw_offset) AS first_offset, max(raw_offset) AS last_offset, count(*) AS rows, sum(bytes) AS bytes,
           count(*) FILTER (WHERE dropped_reason IS NULL) AS healed, sum(retry_count) AS retried, count(dropped_reason) AS dropped,
           count(*) FILTER (WHERE dropped_reason IS NOT NULL AND replay_of IS NOT NULL) AS replays,
           count(replayed_as) FILTER (WHERE dropped_reason IS NOT NULL) AS replayed,
           sha256(convert_to(string_agg(concat_ws(' ', raw_offset, retry_count, dropped_reason, disposition), E'\n' ORDER BY raw_offset), 'UTF8'))
               AS rows_digest
    FROM gone
    GROUP BY raw_topic, raw_partition
)
INSERT INTO removal (run_id, kind, raw_topic, raw_partition, first_offset, last_offset, rows, bytes, ledger, healed, retried, dropped, reasons,
                     replays, replayed, rows_digest)
SELECT $1, $2, e.raw_topic, e.raw_partition, e.first_offset, e.last_offset, e.rows, e.bytes, e.rows, e.healed, e.retried, e.dropped,
       coalesce(r.reasons, '{}'), e.replays, e.replayed, e.rows_digest
FROM entry AS e LEFT JOIN reason AS r USING (raw_topic, raw_partition)
ORDER BY e.raw_topic, e.raw_partition
RETURNING rows, bytes
