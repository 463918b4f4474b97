-- Months of events are removed once they are archived, and restored from the archive. A restore writes entries that reverse those of the removal,
-- with negative numbers of events. No release before writes such entries. Rows that are there are not looked at, and the lock is held for a moment.
ALTER TABLE removal DROP CONSTRAINT removal_place;
ALTER TABLE removal ADD CONSTRAINT removal_place CHECK (
    CASE WHEN ledger <> 0 OR events <> 0
         THEN (raw_topic, raw_partition, first_offset, last_offset) IS NOT NULL AND first_offset <= last_offset
         ELSE true END
) NOT VALID;
ALTER TABLE removal ADD CONSTRAINT removal_reversed CHECK (
    CASE kind WHEN 'events_restored' THEN events < 0 AND events_at_once <= 0 AND events = -rows AND archived_as IS NOT NULL
              ELSE events >= 0 AND events_at_once >= 0 END
    AND events_at_once BETWEEN least(events, 0) AND greatest(events, 0)
) NOT VALID;

COMMENT ON COLUMN removal.kind IS 'What was removed: ledger (rows of bridge_event_raw), payloads (of healed ones), minute_windows (added up to hours), hour_windows (to days), keys, runs, events; or events_restored: what was brought back from an archive';
COMMENT ON COLUMN removal.rows IS 'How many rows were removed, blanked or brought back';
COMMENT ON COLUMN removal.events IS 'Of these, rows of bridge_event; negative where they were brought back';
COMMENT ON COLUMN removal.events_at_once IS 'Of these, events that were persisted at their first attempt; negative where they were brought back';
COMMENT ON COLUMN removal.archived_as IS 'The manifest of the archive that has the rows, in the store, and its SHA-256; null if they are not archived';
