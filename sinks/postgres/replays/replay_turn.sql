-- What the organisation $2 (null: plans of the whole installation) has in flight, which are items that are claimed, over
-- all of its plans that run, or ran within the last hour and after $3 (or null): `own` of the plan $1 and of plans that do
-- not run, `others` of other plans that run, and `running`, the number of these. A run has at most one turn of 200
-- positions in flight, so that only as many items before and after the plan's position are looked at. A plan runs if a
-- session holds its lock: the state of a run that was killed stays `running`.
WITH held AS MATERIALIZED (
    SELECT classid::bigint << 32 | objid::bigint AS key
    FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT now() AS at,
       count(*) FILTER (WHERE r.runs) AS running,
       coalesce(sum(i.claimed) FILTER (WHERE NOT r.runs), 0)::bigint AS own,
       coalesce(sum(i.claimed) FILTER (WHERE r.runs), 0)::bigint AS others
FROM (
    SELECT p.replay_id, p.sent_to, l.runs
    FROM replay AS p
    CROSS JOIN LATERAL (
        SELECT p.state = 'running' AND p.replay_id <> $1
            AND hashtextextended('script:dlq-replay:' || p.replay_id, 0) IN (SELECT key FROM held) AS runs
    ) AS l
    WHERE p.org_id IS NOT DISTINCT FROM $2
      AND (p.replay_id = $1 OR l.runs OR p.state <> 'planned' AND p.updated_at > greatest($3::timestamptz, now() - interval '1 hour'))
) AS r
CROSS JOIN LATERAL (
    SELECT count(*) AS claimed
    FROM (
        (SELECT * FROM replay_item WHERE replay_id = r.replay_id AND position <= r.sent_to ORDER BY position DESC LIMIT 200)
        UNION ALL
        (SELECT * FROM replay_item WHERE replay_id = r.replay_id AND position > r.sent_to ORDER BY position LIMIT 200)
    ) AS near
    -- OFFSET 0 has each item looked up by its key. A join could read the whole ledger for each plan.
    CROSS JOIN LATERAL (
        SELECT FROM bridge_event_raw AS l
        WHERE (l.raw_topic, l.raw_partition, l.raw_offset) = (near.raw_topic, near.raw_partition, near.raw_offset)
          AND l.replay_id = r.replay_id AND l.disposition = 'claimed'
        OFFSET 0
    ) AS found
) AS i
