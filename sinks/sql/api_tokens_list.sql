-- API tokens for people, of the organisation $1 if it is given, the newest first.
SELECT name, key_id, role, org_id, created_at, created_by, expires_at, last_used_at, revoked_at, revoked_by
FROM api_token
WHERE $1::bigint IS NULL OR org_id = $1
ORDER BY created_at DESC, name
