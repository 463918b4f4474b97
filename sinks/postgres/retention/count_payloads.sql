-- The rows of the ledger that were healed before $1 and still have a payload, key or headers, and the size of these in bytes.
SELECT count(*) AS rows,
       coalesce(sum(coalesce(octet_length(payload), 0) + coalesce(octet_length(headers), 0) + coalesce(octet_length(record_key), 0)), 0)::bigint
           AS bytes
FROM bridge_event_raw
WHERE normalized AND dropped_reason IS NULL AND outcome_at < $1 AND coalesce(payload, headers, record_key) IS NOT NULL AND sender IS NOT NULL
