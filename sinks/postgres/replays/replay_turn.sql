-- What the organisation $2 (null: plans of the whole installation) has in flight, which are items that are claimed, over
-- all of its plans that run, or ran within the last hour and after $3 (or null): `own` of the plan $1 and of plans that do
-- not run, `others` of other plans that run, and `running`, the number of these. A run has at most one turn of 200
-- positions in flight, so that only as many items before and after the plan's position are looked at.
SELECT now() AS at,
       count(*) FILTER (WHERE r.runs) AS running,
       coalesce(sum(i.claimed) FILTER (WHERE NOT r.runs), 0)::bigint AS own,
       coalesce(sum(i.claimed) FILTER (WHERE r.runs), 0)::bigint AS others
FROM (
    SELECT replay_id, sent_to, state = 'running' AND replay_id <> $1 AS runs
    FROM replay
    WHERE org_id IS NOT DISTINCT FROM $2
      AND (replay_id = $1 OR state = 'running' OR state <> 'planned' AND updated_at > greatest($3::timestamptz, now() - interval '1 hour'))
) AS r
CROSS JOIN LATERAL (
    SELECT count(*) AS claimed
    FROM (
        (SELECT * FROM replay_item WHERE replay_id = r.replay_id AND position <= r.sent_to ORDER BY position DESC LIMIT 200)
        UNION ALL
        (SELECT * FROM replay_item WHERE replay_id = r.replay_id AND position > r.sent_to ORDER BY position LIMIT 200)
    ) AS near
    JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
    WHERE l.replay_id = r.replay_id AND l.disposition = 'claimed'
) AS i
