-- Moves the rows and keys of one run to the month before, and keeps them where no run removes them.
DROP SCHEMA IF EXISTS earlier CASCADE;
CREATE SCHEMA earlier;
UPDATE bridge_event SET
    received_at = received_at - interval '1 month',
    occurred_at = occurred_at - interval '1 month',
    sent_at = sent_at - interval '1 month',
    normalized_at = normalized_at - interval '1 month';
UPDATE bridge_event_key SET received_at = received_at - interval '1 month';
CREATE TABLE earlier.event AS TABLE bridge_event;
CREATE TABLE earlier.event_key AS TABLE bridge_event_key;
