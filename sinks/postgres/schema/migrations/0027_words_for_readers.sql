-- What a reader sees of a message holds no value of an event, whoever worded it; rows from before are shown likewise. Groups of
-- dead letters go by `normalized_message` as before. No row and no index is written by this.
--
-- Postgres quotes values as they are, in marks that a value may hold itself: of a row that it refuses, the class of the error and
-- the SQLSTATE are shown. In this product's own words a value stands in single quotes that it does not hold, or in what Python
-- writes of it. Whatever an open quote holds goes to the end: a message is cut before its end, and a violation within its list.
CREATE OR REPLACE VIEW bridge_dead_letter AS
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.site_id, l.script_id, l.event_id, l.sender, l.received_at,
       l.outcome_at AS dropped_at, l.dropped_reason, l.error_class,
       CASE WHEN l.error_class = 'sink_rejected_row' THEN
           coalesce(substring(l.last_error FROM '^[a-z ]+: [A-Za-z]+'), 'writing events')
               || coalesce(' ' || substring(l.last_error FROM '\(SQLSTATE [0-9A-Z]{5}\)$'), '')
       ELSE
           normalized_message(regexp_replace(
               l.last_error, '[''"].*\\''.*$|''[^'']*…; .*$|''[^'']*(?:''|$)|"[^"]*(?:"|$)', '…', 'g'
           ))
       END AS message,
       l.retry_count, l.disposition, l.replay_of IS NOT NULL AS is_replay
FROM bridge_event_raw AS l
WHERE l.dropped_reason IS NOT NULL;

COMMENT ON COLUMN bridge_dead_letter.message IS
    'Message of the last failure, with its numbers, ids and quoted values left out; of a row that Postgres refused, the class and the SQLSTATE only';
