-- claimed by the replay $1 -> the disposition before, open or replayed: certainly none of these was sent. Returns the
-- number.
SELECT let_go_dead_letters($1, $2, $3, $4)
