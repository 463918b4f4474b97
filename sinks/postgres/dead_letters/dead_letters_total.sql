-- The number of dead letters.
SELECT count(*) FROM bridge_event_raw AS l WHERE /* conditions */ true
