-- open -> discarded, by the run $4, since their events were sent again; returns the number discarded.
SELECT discard_sent_again($1, $2, $3, $4)
