-- The items of the plan $1 after position $2 up to $3, with their ledger rows.
SELECT i.position, l.raw_topic, l.raw_partition, l.raw_offset, l.site_id, l.record_key, l.payload, l.headers, l.received_at,
       l.error_class, l.last_error, l.dropped_reason, l.disposition, l.replay_id::text AS replay_id, l.replayed_as,
       l.replay_of, s.org_id, l.sender, l.script_id, l.event_id
FROM replay_item AS i
JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
LEFT JOIN site AS s USING (site_id)
WHERE i.replay_id = $1 AND i.position > $2 AND i.position <= $3
ORDER BY i.position
