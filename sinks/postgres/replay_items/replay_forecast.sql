-- Stores the forecasts (predicted outcomes) of these items of the plan $1.
UPDATE replay_item AS i
SET forecast = n.forecast
FROM unnest($2::bigint[], $3::text[]) AS n (position, forecast)
WHERE i.replay_id = $1 AND i.position = n.position
