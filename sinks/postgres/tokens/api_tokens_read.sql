-- The tokens for admitting requests. Revoked and expired ones stay for a month, so that requests with one get the
-- reason.
SELECT key_id, name, digest, role, org_id, expires_at, revoked_at IS NOT NULL AS revoked
FROM api_token
WHERE (revoked_at IS NULL OR revoked_at > now() - interval '30 days')
  AND (expires_at IS NULL OR expires_at > now() - interval '30 days')
