-- The run of the plan $1 by $2 ended, because of $3 if it has not sent all; a plan that was cancelled meanwhile stays so.
UPDATE replay
SET state = CASE WHEN unsent THEN 'stopped' ELSE 'sent' END,
    ended_by = $2,
    ended_because = CASE WHEN unsent THEN $3 ELSE '' END,
    updated_at = now()
FROM (
    SELECT EXISTS (
        SELECT FROM replay AS r JOIN replay_item AS i USING (replay_id) WHERE r.replay_id = $1 AND i.position > r.sent_to
    ) AS unsent
) AS items
WHERE replay_id = $1 AND state = 'running'
