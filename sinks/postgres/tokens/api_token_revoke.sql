-- Revokes a token; returns no row if it was revoked before.
UPDATE api_token SET revoked_at = now(), revoked_by = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING key_id
