-- Locks the ledger's rows of the items of the plan $1 behind position $2 up to $3, in one order for all.
SELECT
FROM replay_item AS i
JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
WHERE i.replay_id = $1 AND i.position > $2 AND i.position <= $3
ORDER BY l.raw_topic, l.raw_partition, l.raw_offset
FOR UPDATE OF l
