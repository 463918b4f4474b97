-- Counts the records that retention deleted before they were read as lost, and moves the offset to the log's beginning.
UPDATE stream_offset
SET lost = saturated(lost::numeric + $4::bigint - next_offset), next_offset = $4, updated_at = now()
WHERE group_id = $1 AND topic = $2 AND partition = $3 AND next_offset < $4
RETURNING $4::bigint - base_offset AS read, lost
