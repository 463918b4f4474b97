-- Ends the sessions of other accounts that keep backend $1 waiting by a transaction older than a minute.
SELECT pid, role, ended FROM end_lock_holders($1)
