-- Ends the run of the plan $1 by $2; $3 is the reason if it has not sent all items. Items that are open in the ledger
-- were not sent, unless this account has skipped them. A plan that was cancelled meanwhile stays cancelled.
UPDATE replay
SET state = CASE WHEN unsent THEN 'stopped' ELSE 'sent' END,
    ended_by = $2,
    ended_because = CASE WHEN unsent THEN $3 ELSE '' END,
    updated_at = now()
FROM (
    SELECT EXISTS (
        SELECT
        FROM replay AS r
        JOIN replay_item AS i USING (replay_id)
        LEFT JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
        WHERE r.replay_id = $1
          AND (i.position > r.sent_to
               OR (l.disposition = 'open' AND (i.skipped IS NULL OR i.skipped_by <> session_user)))
    ) AS unsent
) AS items
WHERE replay_id = $1 AND state = 'running'
