-- Before rows are claimed anew by force: the plans that replayed them keep what they became.
UPDATE replay_item AS i
SET replayed_as = l.replayed_as
FROM bridge_event_raw AS l
JOIN unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
     USING (raw_topic, raw_partition, raw_offset)
WHERE i.raw_topic = l.raw_topic AND i.raw_partition = l.raw_partition AND i.raw_offset = l.raw_offset
  AND i.replay_id = l.replay_id
