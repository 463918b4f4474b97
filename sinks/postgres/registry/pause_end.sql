-- Ends the pause of the target $2 of kind $1.
DELETE FROM pause WHERE kind = $1 AND target = $2 RETURNING true
