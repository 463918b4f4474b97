-- Stores why a worker does not read the partition; the next commit or claim clears it.
UPDATE stream_offset SET held = $4 WHERE group_id = $1 AND topic = $2 AND partition = $3
