-- The next dead letters that the plan $1 has claimed, at most $3 after position $2, whether or not its run recorded them
-- as sent.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, i.position
FROM replay_item AS i
JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
WHERE i.replay_id = $1 AND i.position > $2 AND l.replay_id = $1 AND l.disposition = 'claimed'
ORDER BY i.position
LIMIT $3
