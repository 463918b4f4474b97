-- The owners of the latest open dead letters of the causes $1, at most $4 in all, dropped from $2 to $3. For unreadable
-- ones, `beginning` is the text from which the owner is guessed. One scan of an index finds all of them; a query for
-- each cause would scan all of it each time.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.cause, l.site_id, l.event_id, l.script_id, l.sender,
       CASE WHEN l.site_id IS NULL OR l.script_id IS NULL THEN substring(l.payload, 1, 4096) END AS beginning
FROM bridge_event_raw AS l
WHERE /* conditions */ true
  AND l.cause = ANY ($1::bigint[]) AND l.outcome_at >= $2::timestamptz AND l.outcome_at <= $3::timestamptz
  AND l.disposition = 'open'
ORDER BY l.outcome_at DESC
LIMIT $4::int
