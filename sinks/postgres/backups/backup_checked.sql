-- Notes the result of trying to restore a backup: the time, the problem if there is one, and how long the restore took.
UPDATE backup SET checked_at = $2, problem = $3, restore_seconds = $4 WHERE backup_id = $1
