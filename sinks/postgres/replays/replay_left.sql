-- Whether the plan $1 still has dead letters that it claims, or that are open and that this account has not skipped,
-- regardless of the plan's state.
SELECT EXISTS (
    SELECT
    FROM replay_item AS i JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
    WHERE i.replay_id = $1
      AND (l.disposition = 'claimed' AND l.replay_id = $1
           OR l.disposition = 'open' AND (i.skipped IS NULL OR i.skipped_by <> session_user))
)
