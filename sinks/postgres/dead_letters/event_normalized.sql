-- When and at which attempt a raw event that was received at `received_at` became an event, if it did.
SELECT e.normalized_at, e.attempt, e.site_id, s.org_id
FROM bridge_event AS e
LEFT JOIN site AS s USING (site_id)
WHERE received_at = $1 AND raw_topic = $2 AND raw_partition = $3 AND raw_offset = $4
