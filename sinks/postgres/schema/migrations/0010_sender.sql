-- Who sent an event, by how it was authenticated: `visitor` (a browser's token), `server` (an API key) or `direct` (a
-- Kafka producer). Null in rows of the releases before, which still run on this schema while workers are replaced.
ALTER TABLE bridge_event ADD COLUMN sender text;
ALTER TABLE bridge_event_raw ADD COLUMN sender text;

-- The class of the event that claimed the key. A key without one was claimed before there were classes, and its event is
-- a duplicate for every class.
ALTER TABLE bridge_event_key ADD COLUMN sender text;

-- The digest of the record that a replay sends for a dead letter: a record that only claims to be it is plain data. Null
-- where the release before has claimed it.
ALTER TABLE bridge_event_raw ADD COLUMN replay_digest bytea;

-- Whether an event id of the script is one event whoever sends it, a visitor's yielding to a server's.
ALTER TABLE script ADD COLUMN shared_ids boolean NOT NULL DEFAULT false;

-- Events that count instead of a visitor's of the same site and id, which came first. Events are never rewritten.
CREATE TABLE bridge_event_superseded (
    site_id bigint NOT NULL,
    event_id text NOT NULL,
    raw_topic text NOT NULL,
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    superseded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT bridge_event_superseded_pkey PRIMARY KEY (site_id, event_id)
);

-- The events without those that another one counts instead of.
CREATE VIEW bridge_event_counted AS
SELECT e.* FROM bridge_event AS e
WHERE e.sender IS DISTINCT FROM 'visitor' OR NOT EXISTS (
    SELECT FROM bridge_event_superseded AS s WHERE s.site_id = e.site_id AND s.event_id = e.event_id
);

-- Until when gateway headers without a proof are believed. A new installation believes none; one that is upgraded has a
-- week, in which gateways are replaced and what they wrote is read.
CREATE TABLE gateway_trust (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    legacy_until timestamptz NOT NULL,
    changed_by text NOT NULL
);
INSERT INTO gateway_trust (legacy_until, changed_by)
SELECT CASE WHEN EXISTS (SELECT FROM stream_offset) THEN now() + interval '7 days' ELSE now() END, 'migration 0010';
