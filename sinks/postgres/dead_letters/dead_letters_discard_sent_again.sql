-- open -> discarded, by the run $4, since their events were sent again; how many were.
SELECT discard_sent_again($1, $2, $3, $4)
