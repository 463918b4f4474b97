-- Moves the offsets to the end of the batches and adds to the running totals.
UPDATE stream_offset AS o
SET next_offset = n.next_offset, live = o.live + n.live, normalized = o.normalized + n.normalized,
    retried = o.retried + n.retried, dropped = o.dropped + n.dropped, stale = o.stale + n.stale,
    skipped = o.skipped + n.skipped, updated_at = now()
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
            $9::bigint[], $10::bigint[])
     AS n (topic, partition, next_offset, live, normalized, retried, dropped, stale, skipped)
WHERE o.group_id = $1 AND o.topic = n.topic AND o.partition = n.partition
