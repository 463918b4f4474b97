-- Unfinished replays by state, with the dead letters that they plan to send and have sent.
SELECT state, count(*) AS replays, saturated(sum(planned)) AS planned, saturated(sum(published)) AS sent
FROM replay
WHERE state IN ('planned', 'running', 'stopped')
GROUP BY state
