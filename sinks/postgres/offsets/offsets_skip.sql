-- Skips the record at the partition's position; returns no row if the position has changed.
UPDATE stream_offset SET next_offset = next_offset + 1, skipped = skipped + 1, held = NULL, updated_at = now()
WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset = $4
RETURNING next_offset
