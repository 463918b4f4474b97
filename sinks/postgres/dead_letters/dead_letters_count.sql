-- The number of dead letters by disposition.
SELECT l.disposition, count(*) AS dead_letters
FROM bridge_event_raw AS l
WHERE /* conditions */ true
GROUP BY l.disposition
