-- Locks the dead letters of the plan $1 after position $2 up to $3. The order is the same for every caller.
SELECT lock_dead_letters($1, $2, $3)
