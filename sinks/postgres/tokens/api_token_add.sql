-- Adds an API token.
INSERT INTO api_token (key_id, name, digest, role, org_id, created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
