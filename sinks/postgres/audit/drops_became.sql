-- What became of events that were dropped at $1 or later, of site $2 (0: no readable site; NULL: all sites). The groups
-- are given by $3 ('day' in UTC, 'site', or NULL for one group) and the reason of the drop. Each event counts once, by
-- the last of its replays. It is recovered if one of its replays became a row. If another raw event became that row,
-- the event was sent again, and the row counts for the other raw event. After a forced replay, the result of the replay
-- before it is stored only in the item of that earlier replay's plan, which is followed for as many lives as
-- replay_max_lives may be.
--
-- A replay is followed only to a row that names it in `replay_of`. So each row is followed once, also if an account has
-- forged rows that name each other, and no chain comes back to a row. LATERAL has Postgres find each row by its key.
WITH RECURSIVE before_forced AS (
    SELECT raw_topic, raw_partition, raw_offset, replayed_as, 1 AS lives FROM replay_item WHERE replayed_as IS NOT NULL
    UNION ALL
    SELECT b.raw_topic, b.raw_partition, b.raw_offset, n.replayed_as, b.lives + 1
    FROM before_forced AS b
    JOIN bridge_event_raw AS n
        ON n.raw_topic = split_part(b.replayed_as, ':', 1)
        AND n.raw_partition = place_partition(b.replayed_as)
        AND n.raw_offset = place_offset(b.replayed_as)
    WHERE n.replayed_as IS NOT NULL AND b.lives < 100
), persisted AS MATERIALIZED (
    SELECT b.raw_topic, b.raw_partition, b.raw_offset
    FROM before_forced AS b
    LEFT JOIN bridge_event_raw AS n
        ON n.raw_topic = split_part(b.replayed_as, ':', 1)
        AND n.raw_partition = place_partition(b.replayed_as)
        AND n.raw_offset = place_offset(b.replayed_as)
    WHERE (n.raw_topic IS NULL AND place_offset(b.replayed_as) IS NOT NULL) OR (n.normalized AND n.dropped_reason IS NULL)
), dropped AS NOT MATERIALIZED (
    SELECT CASE $3::text WHEN 'day' THEN ((outcome_at AT TIME ZONE 'UTC')::date)::text
                         WHEN 'site' THEN coalesce(site_id, 0)::text ELSE '' END AS part,
           CASE WHEN replay_of IS NOT NULL THEN 'replay'
                WHEN dropped_reason = 'duplicate_event_id' THEN 'duplicate'
                WHEN (raw_topic, raw_partition, raw_offset) IN (SELECT * FROM persisted) THEN 'recovered'
                WHEN disposition = 'claimed' THEN 'replaying'
                WHEN sent_again THEN 'sent_again'
                ELSE coalesce(disposition, 'open') END AS became,
           dropped_reason, raw_topic || ':' || raw_partition || ':' || raw_offset AS place, replayed_as
    FROM bridge_event_raw
    WHERE dropped_reason IS NOT NULL AND outcome_at >= coalesce($1::timestamptz, '-infinity')
      AND ($2::bigint IS NULL OR coalesce(site_id, 0) = $2)
), life AS (
    SELECT part, dropped_reason, became, place, replayed_as FROM dropped WHERE became = 'replayed'
    UNION ALL
    SELECT l.part, l.dropped_reason,
           CASE WHEN n.replay_of IS DISTINCT FROM l.place AND n.raw_topic IS NOT NULL THEN 'replaying'
                WHEN place_offset(l.replayed_as) IS NULL THEN 'replaying'
                WHEN (n.raw_topic, n.raw_partition, n.raw_offset) IN (SELECT * FROM persisted) THEN 'recovered'
                WHEN NOT n.normalized OR n.disposition = 'claimed' THEN 'replaying'
                WHEN n.dropped_reason IS NULL THEN 'recovered'
                WHEN n.dropped_reason = 'duplicate_event_id' OR n.sent_again THEN 'sent_again'
                ELSE coalesce(n.disposition, 'open') END,
           n.raw_topic || ':' || n.raw_partition || ':' || n.raw_offset, n.replayed_as
    FROM life AS l
    LEFT JOIN LATERAL (
        SELECT *
        FROM bridge_event_raw
        WHERE raw_topic = split_part(l.replayed_as, ':', 1)
          AND raw_partition = place_partition(l.replayed_as)
          AND raw_offset = place_offset(l.replayed_as)
        LIMIT 1
    ) AS n ON true
    WHERE l.became = 'replayed'
)
SELECT part, dropped_reason, became, count(*) AS events
FROM (SELECT part, dropped_reason, became FROM dropped WHERE became <> 'replayed'
      UNION ALL
      SELECT part, dropped_reason, became FROM life WHERE became <> 'replayed') AS counted
GROUP BY part, dropped_reason, became
