-- Adds an organisation, unless it exists.
INSERT INTO org (org_id) VALUES ($1) ON CONFLICT DO NOTHING
