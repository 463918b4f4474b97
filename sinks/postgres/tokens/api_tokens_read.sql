-- What requests are admitted by. Tokens that are no good any more stay for a month, so that whoever uses one is told so.
SELECT key_id, name, digest, role, org_id, expires_at, revoked_at IS NOT NULL AS revoked
FROM api_token
WHERE (revoked_at IS NULL OR revoked_at > now() - interval '30 days')
  AND (expires_at IS NULL OR expires_at > now() - interval '30 days')
