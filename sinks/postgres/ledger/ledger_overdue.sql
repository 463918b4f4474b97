-- The raw partitions with waiting events whose next attempt was due at $1.
SELECT DISTINCT raw_partition FROM bridge_event_raw WHERE NOT normalized AND next_retry_at <= $1
