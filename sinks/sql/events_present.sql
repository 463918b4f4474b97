-- Which of these events are persisted, among those received from $3 until $4.
SELECT DISTINCT e.site_id, e.event_id
FROM unnest($1::bigint[], $2::text[]) AS n (site_id, event_id)
JOIN bridge_event AS e USING (site_id, event_id)
WHERE e.received_at >= $3 AND e.received_at < $4
