-- Stores, on a replayed dead letter, the provenance of the record that replayed it.
UPDATE bridge_event_raw AS l
SET disposition = 'replayed', replayed_as = n.replayed_as, updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[]) AS n (raw_topic, raw_partition, raw_offset, replayed_as)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
