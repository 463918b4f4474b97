-- Replays that are not done, by state, with how many dead letters they plan to send and have sent.
SELECT state, count(*) AS replays, saturated(sum(planned)) AS planned, saturated(sum(published)) AS sent
FROM replay
WHERE state IN ('planned', 'running', 'stopped')
GROUP BY state
