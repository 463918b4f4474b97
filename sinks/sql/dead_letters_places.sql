-- The provenance of dead letters.
SELECT l.raw_topic, l.raw_partition, l.raw_offset
FROM bridge_event_raw AS l
WHERE /* conditions */ true
