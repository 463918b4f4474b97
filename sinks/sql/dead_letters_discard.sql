-- open -> discarded, by the run $4.
UPDATE bridge_event_raw AS l
SET disposition = 'discarded', discarded_by = $4, updated_at = now()
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS n (raw_topic, raw_partition, raw_offset)
WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
  AND l.disposition = 'open'
