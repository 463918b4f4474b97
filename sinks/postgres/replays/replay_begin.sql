-- Begins a run of a plan, unless the plan was cancelled, at the position where the last run stopped. The ledger
-- determines the position, because other accounts can write `sent_to`, `published` and `skipped` too. Items that this
-- account has skipped stay skipped.
WITH stands AS (
    SELECT coalesce(min(i.position) - 1, min(r.sent_to)) AS sent_to
    FROM replay AS r
    LEFT JOIN (replay_item AS i JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset))
        ON i.replay_id = r.replay_id AND i.position <= r.sent_to AND l.disposition = 'open'
        AND (i.skipped IS NULL OR i.skipped_by <> session_user)
    WHERE r.replay_id = $1
)
UPDATE replay
SET state = 'running', ended_by = '', ended_because = '', updated_at = now(), sent_to = stands.sent_to,
    published = (
        SELECT count(*) FROM replay_outcome
        WHERE replay_id = $1 AND position <= stands.sent_to AND outcome NOT IN ('skipped', 'open', 'in_doubt')
    )
FROM stands
WHERE replay_id = $1 AND state <> 'cancelled'
RETURNING state
