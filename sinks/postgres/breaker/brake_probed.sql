-- Notes that a few events which the brake of group $1 holds were judged again.
UPDATE brake SET probed_at = now() WHERE group_id = $1 AND engaged
