-- Revokes a key; returns no row if it was revoked before.
UPDATE script_token SET revoked_at = now(), revoked_by = $3
WHERE script_id = $1 AND key_id = $2 AND revoked_at IS NULL
RETURNING key_id
