-- The dead letters that the plan $1 has claimed, whether or not its run recorded them as sent. If it did not, it is
-- unknown whether they were sent.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, i.position > r.sent_to AS in_doubt
FROM replay AS r
JOIN replay_item AS i USING (replay_id)
JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
WHERE i.replay_id = $1 AND l.replay_id = $1 AND l.disposition = 'claimed'
ORDER BY l.raw_topic, l.raw_partition, l.raw_offset
