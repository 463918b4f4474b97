-- The number of dropped raw events in the ledger by reason, and the number of those whose replay has been read.
SELECT dropped_reason, count(*) AS dropped, count(replayed_as) AS replayed
FROM bridge_event_raw
WHERE dropped_reason IS NOT NULL
GROUP BY dropped_reason
ORDER BY dropped_reason
