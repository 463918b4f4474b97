-- Records that the items of the plan $1 up to position $2 are finished, and that $3 more of them were sent.
UPDATE replay SET sent_to = $2, published = least(published + $3, 1000000000000), updated_at = now() WHERE replay_id = $1
