-- Records a probe: a trial with events that the breaker of group $1 keeps from being dead-lettered.
UPDATE brake SET probed_at = now() WHERE group_id = $1 AND engaged
