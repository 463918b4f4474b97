-- The number of items after position $2 up to $3 that the plan $1 still claims: their events are sent and not yet committed.
SELECT count(*)
FROM replay_item AS i
JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
WHERE i.replay_id = $1 AND i.position > $2 AND i.position <= $3 AND l.replay_id = $1 AND l.disposition = 'claimed'
