-- The number of dead letters that the plan $1 has claimed, and of those of them that its run did not record as sent. Of
-- these it is unknown whether they were sent.
SELECT count(*) AS claimed, count(*) FILTER (WHERE i.position > r.sent_to) AS in_doubt
FROM replay AS r
JOIN replay_item AS i USING (replay_id)
JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
WHERE i.replay_id = $1 AND l.replay_id = $1 AND l.disposition = 'claimed'
