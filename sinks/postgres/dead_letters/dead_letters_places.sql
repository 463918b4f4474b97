-- Provenance and owner of dead letters, the earliest first: at most $9 after the cursor $1 to $4, up to the cursor $5
-- to $8.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.outcome_at, l.cause, l.site_id, l.event_id, l.script_id, l.sender, NULL::bytea AS beginning
FROM bridge_event_raw AS l
WHERE /* conditions */ true
  AND (l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset) > ($1::timestamptz, $2::text, $3::int, $4::bigint)
  AND (l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset) <= ($5::timestamptz, $6::text, $7::int, $8::bigint)
ORDER BY l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset
LIMIT $9
