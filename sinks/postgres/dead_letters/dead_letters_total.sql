-- How many dead letters there are.
SELECT count(*) FROM bridge_event_raw AS l WHERE /* conditions */ true
