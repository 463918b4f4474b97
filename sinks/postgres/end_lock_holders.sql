-- Ends the sessions of other accounts that keep backend $1 waiting, which has waited $2 seconds over its tries.
SELECT pid, role, ended FROM end_blocking_sessions($1, $2)
