-- Plans of replays: the exact set that each has frozen, what is corrected in it, how far it went, and what became of it.

-- `corrections` is a JSON Patch that is applied to each value; `report` is what the dry run said when it was planned.
-- Whatever stands up to position `sent_to` went out, was settled, or was passed over; `published` counts what went out.
ALTER TABLE replay
    ADD COLUMN reason text NOT NULL DEFAULT '',
    ADD COLUMN corrections jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN report jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN sent_to bigint NOT NULL DEFAULT 0,
    ADD COLUMN ended_by text NOT NULL DEFAULT '',
    ADD COLUMN ended_because text NOT NULL DEFAULT '',
    ADD CONSTRAINT replay_state CHECK (state IN ('planned', 'running', 'stopped', 'cancelled', 'sent'));

-- `skipped` says why an item was passed over when its turn came. `replayed_as` is kept here once the ledger's row was
-- claimed anew by force; until then the ledger knows it.
CREATE TABLE replay_item (
    replay_id uuid NOT NULL REFERENCES replay ON DELETE CASCADE,
    position bigint NOT NULL,
    raw_topic text NOT NULL,
    raw_partition integer NOT NULL,
    raw_offset bigint NOT NULL,
    forecast text NOT NULL,
    skipped text,
    replayed_as text,
    CONSTRAINT replay_item_pkey PRIMARY KEY (replay_id, position),
    CONSTRAINT replay_item_once UNIQUE (raw_topic, raw_partition, raw_offset, replay_id)
);

-- What became of each item. The claim and the successor stand in the ledger, so that nothing has to be kept equal.
CREATE VIEW replay_outcome AS
SELECT i.replay_id, i.position, i.raw_topic, i.raw_partition, i.raw_offset, i.forecast, old.site_id,
       CASE WHEN old.raw_topic IS NULL THEN 'the ledger no longer holds it' ELSE i.skipped END AS skipped,
       s.replayed_as, new.dropped_reason, new.error_class, new.last_error,
       CASE
           WHEN s.replayed_as IS NULL AND old.replay_id = i.replay_id AND old.disposition = 'claimed'
               THEN CASE WHEN i.position <= r.sent_to THEN 'unsettled' ELSE 'in_doubt' END
           WHEN s.replayed_as IS NULL
               THEN CASE WHEN old.raw_topic IS NULL OR i.skipped IS NOT NULL THEN 'skipped' ELSE 'open' END
           WHEN NOT new.normalized THEN 'waiting'
           WHEN new.dropped_reason = 'duplicate_event_id' THEN 'duplicate'
           WHEN new.dropped_reason IS NOT NULL THEN 'dropped'
           ELSE 'persisted'
       END AS outcome
FROM replay_item AS i
JOIN replay AS r USING (replay_id)
LEFT JOIN bridge_event_raw AS old USING (raw_topic, raw_partition, raw_offset)
CROSS JOIN LATERAL (
    SELECT coalesce(i.replayed_as, CASE WHEN old.replay_id = i.replay_id THEN old.replayed_as END) AS replayed_as
) AS s
LEFT JOIN bridge_event_raw AS new
    ON new.raw_topic = split_part(s.replayed_as, ':', 1)
    AND new.raw_partition = split_part(s.replayed_as, ':', 2)::integer
    AND new.raw_offset = split_part(s.replayed_as, ':', 3)::bigint;
