-- claimed by the replay $1 -> what they were before, open or replayed: of these nothing was sent, for certain. How many were.
SELECT let_go_dead_letters($1, $2, $3, $4)
