-- What a producer sent, of the fields that normalising changes beyond their form: the event's type by an alias or in other
-- letters, a time that is corrected by sent_at, an amount that is rounded. Null where it changed nothing, and in rows of
-- the releases before, which still run on this schema while workers are replaced.
ALTER TABLE bridge_event ADD COLUMN original jsonb;

CREATE OR REPLACE VIEW bridge_event_counted AS
SELECT e.received_at, e.occurred_at, e.sent_at, e.site_id, e.org_id, e.script_id, e.event_id, e.event_type, e.session_id,
       e.visitor_id, e.url, e.url_host, e.url_path, e.utm_source, e.utm_medium, e.utm_campaign, e.utm_term, e.utm_content, e.referrer,
       e.referrer_host, e.user_agent, e.value, e.currency, e.properties, e.schema_version, e.raw_topic, e.raw_partition, e.raw_offset,
       e.attempt, e.normalized_at, e.sender, e.original
FROM bridge_event AS e
WHERE e.sender IS DISTINCT FROM 'visitor' OR NOT EXISTS (
    SELECT FROM bridge_event_superseded AS s WHERE s.site_id = e.site_id AND s.event_id = e.event_id
);
