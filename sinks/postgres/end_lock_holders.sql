-- Ends the sessions of other accounts that block backend $1, which has waited $2 seconds over all its tries.
SELECT pid, role, ended FROM end_blocking_sessions($1, $2)
