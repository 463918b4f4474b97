-- Stores the reason why a worker does not read the partition. The next commit or claim removes it.
UPDATE stream_offset SET held = $4 WHERE group_id = $1 AND topic = $2 AND partition = $3
