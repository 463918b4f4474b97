-- The ledger's rows without a sender class after the cursor $1 to $3, at most $4, in order. Duplicates are left out:
-- they have no stored headers from which their sender could be determined.
SELECT raw_topic, raw_partition, raw_offset, site_id, script_id, event_id, record_key, payload, headers, record_time,
       received_at, retry_count, dropped_reason, replay_of
FROM bridge_event_raw
WHERE sender IS NULL AND dropped_reason IS DISTINCT FROM 'duplicate_event_id'
  AND (raw_topic, raw_partition, raw_offset) > ($1, $2, $3)
ORDER BY raw_topic, raw_partition, raw_offset
LIMIT $4
