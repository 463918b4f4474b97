-- Changes the disposition of dead letters from open to discarded, by the run $4; returns the number discarded.
SELECT discard_dead_letters($1, $2, $3, $4)
