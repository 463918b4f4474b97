-- The number of blocks of the key table.
SELECT pg_relation_size('bridge_event_key') / current_setting('block_size')::bigint
