-- Which of these keys are persisted.
SELECT event_key FROM bridge_event_key WHERE event_key = ANY ($1::bytea[])
