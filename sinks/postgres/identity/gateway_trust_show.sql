-- Until when gateway headers without a proof are believed, who decided it, and the ledger's rows without a class.
SELECT t.legacy_until, t.changed_by,
       (SELECT count(*) FROM bridge_event_raw
        WHERE sender IS NULL AND dropped_reason IS DISTINCT FROM 'duplicate_event_id') AS unattributed
FROM gateway_trust AS t
