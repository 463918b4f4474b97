-- API tokens for people, of the organisation $1 if it is given, the newest first. A release before migration 0018
-- writes the time of use to api_token.
SELECT t.name, t.key_id, t.role, t.org_id, t.created_at, t.created_by, t.expires_at,
       greatest(t.last_used_at, u.last_used_at) AS last_used_at, t.revoked_at, t.revoked_by
FROM api_token AS t
LEFT JOIN api_token_use AS u USING (key_id)
WHERE $1::bigint IS NULL OR t.org_id = $1
ORDER BY t.created_at DESC, t.name
