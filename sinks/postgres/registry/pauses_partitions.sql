-- The paused partitions, as `topic:partition`, with the account and the reason.
SELECT target, paused_by, reason FROM pause WHERE kind = 'partition'
