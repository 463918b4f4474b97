-- A waiting row is what a worker writes: no worker reads more for one retry, and no attempt has a number that its column can't hold. Rows that
-- are there are not looked at, and the lock is held for a moment. The release before does no more than this allows.

-- A value is at most an event's, and key and headers have 64 KiB together. In JSON a header's character takes at most six bytes, and each of
-- 1,024 headers some more. An index holds a script's id once the row is a dead letter, and an index holds no 8 kB.
ALTER TABLE bridge_event_raw ADD CONSTRAINT bridge_event_raw_retried CHECK (
    octet_length(script_id) <= 1024 AND (
        normalized OR (
            retry_count < 1000000000 AND octet_length(payload) <= 65536 AND octet_length(record_key) <= 65536
            AND octet_length(headers) <= 500000
        )
    )
) NOT VALID;
