-- A script's keys that are not revoked.
SELECT key_id FROM script_token WHERE script_id = $1 AND revoked_at IS NULL ORDER BY created_at
