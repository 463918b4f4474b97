-- The tokens by which requests are admitted. Revoked and expired tokens stay for a month, so that a request with one
-- gets an error that names the reason.
SELECT key_id, name, digest, role, org_id, expires_at, revoked_at IS NOT NULL AS revoked
FROM api_token
WHERE (revoked_at IS NULL OR revoked_at > now() - interval '30 days')
  AND (expires_at IS NULL OR expires_at > now() - interval '30 days')
