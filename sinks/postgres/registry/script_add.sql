-- Adds a script, unless it exists.
INSERT INTO script (script_id, site_id, origins, shared_ids) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING script_id
