-- Which of these keys are claimed, and by which sender class; null is a claim that predates sender classes.
SELECT event_key, sender FROM bridge_event_key WHERE event_key = ANY ($1::bytea[])
