-- Skips the records from the partition's position to before $5; returns no row if the position has changed.
UPDATE stream_offset SET next_offset = $5, skipped = saturated(skipped::numeric + $5::bigint - $4::bigint), held = NULL, updated_at = now()
WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $4
RETURNING next_offset
