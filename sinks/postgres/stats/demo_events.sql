-- The events written since $1, and how long those of a first attempt took from the broker's time to the row.
SELECT count(*) AS normalized,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY normalized_at - received_at) FILTER (WHERE attempt = 1) AS p50,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY normalized_at - received_at) FILTER (WHERE attempt = 1) AS p99
FROM bridge_event
WHERE normalized_at >= $1
