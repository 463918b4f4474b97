-- Which of these events are persisted and were received from $4 until $5. The sender class is $3, or that of a row from
-- before sender classes; any class if $3 is null.
SELECT DISTINCT e.site_id, e.event_id
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (site_id, event_id, sender)
JOIN bridge_event AS e USING (site_id, event_id)
WHERE e.received_at >= $4 AND e.received_at < $5 AND (n.sender IS NULL OR e.sender IS NULL OR e.sender = n.sender)
