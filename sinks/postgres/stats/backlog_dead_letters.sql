-- Open dead letters by reason, and how long ago the oldest was dropped.
SELECT dropped_reason, count(*) AS open,
       greatest(0, extract(epoch FROM now() - min(outcome_at)))::float8 AS age_seconds
FROM bridge_event_raw
WHERE disposition = 'open'
GROUP BY dropped_reason
