-- What became of events that were dropped at $1 or later, of site $2 (0 has no readable site); NULL is all. By $3: 'day' (UTC),
-- 'site', or NULL for all together, and by the reason of the drop. An event counts once, by the last of its replays;
-- what was closed because its producer had sent it again is recovered.
WITH RECURSIVE dropped AS NOT MATERIALIZED (
    SELECT CASE $3::text WHEN 'day' THEN ((outcome_at AT TIME ZONE 'UTC')::date)::text
                         WHEN 'site' THEN coalesce(site_id, 0)::text ELSE '' END AS part,
           CASE WHEN replay_of IS NOT NULL THEN 'replay'
                WHEN dropped_reason = 'duplicate_event_id' THEN 'duplicate'
                WHEN disposition = 'claimed' THEN 'replaying'
                WHEN sent_again THEN 'recovered'
                ELSE coalesce(disposition, 'open') END AS became,
           dropped_reason, replayed_as
    FROM bridge_event_raw
    WHERE dropped_reason IS NOT NULL AND outcome_at >= coalesce($1::timestamptz, '-infinity')
      AND ($2::bigint IS NULL OR coalesce(site_id, 0) = $2)
), life AS (
    SELECT part, dropped_reason, became, replayed_as FROM dropped WHERE became = 'replayed'
    UNION ALL
    SELECT l.part, l.dropped_reason,
           CASE WHEN l.replayed_as IS NULL OR NOT n.normalized OR n.disposition = 'claimed' THEN 'replaying'
                WHEN n.dropped_reason IS NULL OR n.dropped_reason = 'duplicate_event_id' OR n.sent_again THEN 'recovered'
                ELSE coalesce(n.disposition, 'open') END,
           n.replayed_as
    FROM life AS l
    LEFT JOIN bridge_event_raw AS n
        ON n.raw_topic = split_part(l.replayed_as, ':', 1)
        AND n.raw_partition = split_part(l.replayed_as, ':', 2)::integer
        AND n.raw_offset = split_part(l.replayed_as, ':', 3)::bigint
    WHERE l.became = 'replayed'
)
SELECT part, dropped_reason, became, count(*) AS events
FROM (SELECT part, dropped_reason, became FROM dropped WHERE became <> 'replayed'
      UNION ALL
      SELECT part, dropped_reason, became FROM life WHERE became <> 'replayed') AS counted
GROUP BY part, dropped_reason, became
