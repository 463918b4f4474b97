-- The owners of the latest open dead letters of the causes $1, at most $4 in all, dropped from $2 to $3. For unreadable
-- ones `beginning` is the text for guessing the owner. One scan of an index: one for each cause would each be a full
-- scan.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.cause, l.site_id, l.event_id, l.script_id, l.sender,
       CASE WHEN l.site_id IS NULL OR l.script_id IS NULL THEN substring(l.payload, 1, 4096) END AS beginning
FROM bridge_event_raw AS l
WHERE /* conditions */ true
  AND l.cause = ANY ($1::bigint[]) AND l.outcome_at >= $2::timestamptz AND l.outcome_at <= $3::timestamptz
  AND l.disposition = 'open'
ORDER BY l.outcome_at DESC
LIMIT $4::int
