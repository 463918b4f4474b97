-- The raw partitions with waiting events whose next attempt was due at $1; at most 10000, which no topic exceeds.
SELECT DISTINCT raw_partition FROM bridge_event_raw WHERE NOT normalized AND next_retry_at <= $1 ORDER BY raw_partition LIMIT 10000
