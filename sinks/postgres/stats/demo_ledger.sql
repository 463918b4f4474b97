-- The ledger's rows created since $1: healed ones (without a reason), and drops by reason.
SELECT dropped_reason, count(*) AS events
FROM bridge_event_raw
WHERE normalized AND created_at >= $1
GROUP BY dropped_reason
ORDER BY dropped_reason
