-- The partitions that are paused, as `topic:partition`, by whom and why.
SELECT target, paused_by, reason FROM pause WHERE kind = 'partition'
