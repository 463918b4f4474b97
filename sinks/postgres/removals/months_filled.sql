-- The first month after $1, and from before $2, that has an event; null without one.
SELECT date_trunc('month', min(received_at), 'UTC') AS begin FROM bridge_event WHERE received_at >= $1 AND received_at < $2
