-- Moves the offsets to the end of the batches, adds to the running totals, and stores the last record's mark.
-- A total that another account has set to its bound stays there, and stops no commit.
UPDATE stream_offset AS o
SET next_offset = n.next_offset, live = saturated(o.live::numeric + n.live),
    normalized = saturated(o.normalized::numeric + n.normalized), retried = saturated(o.retried::numeric + n.retried),
    dropped = saturated(o.dropped::numeric + n.dropped), stale = saturated(o.stale::numeric + n.stale),
    skipped = saturated(o.skipped::numeric + n.skipped), last_offset = coalesce(n.last_offset, o.last_offset),
    last_digest = coalesce(n.last_digest, o.last_digest),
    last_timestamp = coalesce(n.last_timestamp, o.last_timestamp), held = NULL, updated_at = now(),
    persisted_at = CASE WHEN n.normalized > 0 THEN now() ELSE o.persisted_at END
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[], $11::bigint[], $12::bytea[], $13::bigint[])
     AS n (topic, partition, next_offset, live, normalized, retried, dropped, stale, skipped,
           last_offset, last_digest, last_timestamp)
WHERE o.group_id = $1 AND o.topic = n.topic AND o.partition = n.partition
