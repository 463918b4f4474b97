-- Which of these keys are held, and by an event of which sender class; null if a release from before sender classes
-- claimed the key.
SELECT event_key, sender FROM bridge_event_key WHERE event_key = ANY ($1::bytea[])
