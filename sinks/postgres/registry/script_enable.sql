-- Sets whether a script's events are accepted.
UPDATE script SET enabled = $2, updated_at = now() WHERE script_id = $1
