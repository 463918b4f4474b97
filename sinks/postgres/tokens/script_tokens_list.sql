-- A script's keys for people, the newest first.
SELECT key_id, note, created_at, created_by, revoked_at, revoked_by
FROM script_token WHERE script_id = $1 ORDER BY created_at DESC, key_id
