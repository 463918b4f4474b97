-- Removes plans that have not changed for $1 seconds, with their items, except plans that still claim an event.
DELETE FROM replay AS r
WHERE r.updated_at < now() - make_interval(secs => $1::float8)
  AND NOT EXISTS (
      SELECT
      FROM replay_item AS i
      JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
      WHERE i.replay_id = r.replay_id AND l.replay_id = r.replay_id AND l.disposition = 'claimed'
  )
