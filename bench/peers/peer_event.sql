-- The peers' table: the raw event's fields as received, with a key and the indexes of bridge_event.
DROP TABLE IF EXISTS peer_event;
CREATE TABLE peer_event (
    received_at timestamptz NOT NULL DEFAULT now(),
    occurred_at timestamptz NOT NULL,
    sent_at timestamptz,
    site_id bigint NOT NULL,
    script_id text,
    event_id text NOT NULL,
    event_type text NOT NULL,
    session_id text,
    visitor_id text,
    url text,
    referrer text,
    user_agent text,
    value numeric(21, 6),
    currency text,
    properties jsonb,
    PRIMARY KEY (site_id, event_id)
);
CREATE INDEX peer_event_received_at ON peer_event USING brin (received_at);
CREATE INDEX peer_event_site ON peer_event (site_id, received_at);
