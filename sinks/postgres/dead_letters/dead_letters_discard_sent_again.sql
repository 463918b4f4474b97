-- Changes the disposition of dead letters from open to discarded, by the run $4, because their events were sent again;
-- returns the number discarded.
SELECT discard_sent_again($1, $2, $3, $4)
