-- Records that these events ($3 to $5: their provenance) replace a visitor's event with the same site and id.
INSERT INTO bridge_event_superseded (site_id, event_id, raw_topic, raw_partition, raw_offset)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::int[], $5::bigint[])
ON CONFLICT DO NOTHING
