-- How many dead letters there are, by what was done with them.
SELECT l.disposition, count(*) AS dead_letters
FROM bridge_event_raw AS l
WHERE /* conditions */ true
GROUP BY l.disposition
