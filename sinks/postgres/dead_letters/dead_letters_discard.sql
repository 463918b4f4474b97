-- open -> discarded, by the run $4; how many were.
SELECT discard_dead_letters($1, $2, $3, $4)
