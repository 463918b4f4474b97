-- Dead letters, the latest first: at most $5 before the cursor $1 to $4, where the page before ended. For unreadable
-- ones, `beginning` is the text from which the owner is guessed.
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.outcome_at, l.dropped_reason, l.error_class, l.last_error, l.cause,
       l.retry_count, l.site_id, s.org_id, l.script_id, l.event_id, l.disposition, l.replay_of, l.replayed_as, l.sender,
       CASE WHEN l.site_id IS NULL OR l.script_id IS NULL THEN substring(l.payload, 1, 4096) END AS beginning
FROM bridge_event_raw AS l
LEFT JOIN site AS s USING (site_id)
WHERE /* conditions */ true
  AND (l.outcome_at, l.raw_topic, l.raw_partition, l.raw_offset) < ($1::timestamptz, $2::text, $3::int, $4::bigint)
ORDER BY l.outcome_at DESC, l.raw_topic DESC, l.raw_partition DESC, l.raw_offset DESC
LIMIT $5
