-- Records a probe of events that the breaker of group $1 holds.
UPDATE brake SET probed_at = now() WHERE group_id = $1 AND engaged
