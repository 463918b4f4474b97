-- Writes the closing entry of a raw partition's events that this transaction removes. $1 is the run, $2 the kind, $3 to $6 the places, $7 the number of
-- rows, $8 of those persisted at their first attempt, $9 their size, $10 their digest, $11 the archive that has them.
INSERT INTO removal (run_id, kind, raw_topic, raw_partition, first_offset, last_offset, rows, events, events_at_once, bytes, rows_digest, archived_as)
VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9, $10, $11)
