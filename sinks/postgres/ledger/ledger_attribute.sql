-- Sets the identity of these raw events, if it has not been set meanwhile; returns the rows that were changed.
UPDATE bridge_event_raw AS l
SET site_id = n.site_id, script_id = n.script_id, event_id = n.event_id, sender = n.sender,
    last_error = l.last_error || n.note, updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
     AS n (raw_topic, raw_partition, raw_offset, site_id, script_id, event_id, sender, note)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
  AND l.sender IS NULL
RETURNING l.raw_topic, l.raw_partition, l.raw_offset
