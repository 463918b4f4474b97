-- Whose the latest open dead letters of the causes $1 are, at most $4 of each; each cause is looked for from its first
-- ($2) to its last ($3) only. Of what can't be read `beginning` is what its owner is guessed by.
SELECT l.*
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS g (cause, first_at, last_at)
CROSS JOIN LATERAL (
    SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.outcome_at, l.cause, l.site_id, l.event_id, l.script_id, l.sender,
           CASE WHEN l.site_id IS NULL THEN substring(l.payload, 1, 4096) END AS beginning
    FROM bridge_event_raw AS l
    WHERE /* conditions */ true
      AND l.cause = g.cause AND l.outcome_at >= g.first_at AND l.outcome_at <= g.last_at AND l.disposition = 'open'
    ORDER BY l.outcome_at DESC
    LIMIT $4::int
) AS l
