-- Releases claims of the replay $1: the disposition becomes what it was before, open or replayed. None of these dead
-- letters may have been sent. Returns their number.
SELECT let_go_dead_letters($1, $2, $3, $4)
