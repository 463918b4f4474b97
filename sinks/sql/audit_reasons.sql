-- How many raw events the ledger says are dropped, by reason.
SELECT dropped_reason, count(*) AS dropped
FROM bridge_event_raw
WHERE dropped_reason IS NOT NULL
GROUP BY dropped_reason
ORDER BY dropped_reason
