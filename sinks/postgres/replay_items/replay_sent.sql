-- Everything of the plan $1 up to position $2 is out of its hands; $3 more of it were sent.
UPDATE replay SET sent_to = $2, published = published + $3, updated_at = now() WHERE replay_id = $1
