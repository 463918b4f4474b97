-- claimed by the replay $1 -> open: of these nothing was sent, for certain.
UPDATE bridge_event_raw AS l
SET disposition = 'open', replay_id = NULL, updated_at = now()
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
  AND l.disposition = 'claimed' AND l.replay_id = $1
