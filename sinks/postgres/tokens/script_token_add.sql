-- Adds a key of a script.
INSERT INTO script_token (key_id, script_id, digest, note, created_by) VALUES ($1, $2, $3, $4, $5)
