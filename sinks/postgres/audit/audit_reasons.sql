-- The number of dropped raw events in the ledger by reason, and in each row the number of all those whose replay has been
-- read. At most $2 reasons, those in $1 first, since a worker's account may write any number of them.
SELECT dropped_reason, count(*) AS dropped, (sum(count(replayed_as)) OVER ())::bigint AS replayed
FROM bridge_event_raw
WHERE dropped_reason IS NOT NULL
GROUP BY dropped_reason
ORDER BY dropped_reason <> ALL ($1::text[]), dropped_reason
LIMIT $2
