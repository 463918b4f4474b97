-- open -> claimed by the replay $1, or from replayed where it was forced; the rows are locked and were looked at. $5 are the
-- digests of the records that will be sent.
UPDATE bridge_event_raw AS l
SET disposition = 'claimed', replay_id = $1, replayed_as = NULL, replay_digest = n.replay_digest, updated_at = now()
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[])
     AS n (raw_topic, raw_partition, raw_offset, replay_digest)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
  AND l.disposition IN ('open', 'replayed')
