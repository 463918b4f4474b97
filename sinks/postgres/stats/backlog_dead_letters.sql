-- Open dead letters by reason, and how long ago the oldest was dropped. Reasons that are not in $1 are counted together,
-- since a worker's account may write any number of them, each of which would be a new series.
SELECT CASE WHEN dropped_reason = ANY ($1::text[]) THEN dropped_reason ELSE 'other' END AS reason, count(*) AS open,
       greatest(0, extract(epoch FROM now() - min(outcome_at)))::float8 AS age_seconds
FROM bridge_event_raw
WHERE disposition = 'open'
GROUP BY 1
