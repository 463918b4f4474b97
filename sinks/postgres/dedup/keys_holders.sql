-- Which of these keys are claimed, and by which class of sender; null is a claim from before there were classes.
SELECT event_key, sender FROM bridge_event_key WHERE event_key = ANY ($1::bytea[])
