-- Adds a site, unless it exists.
INSERT INTO site (site_id, org_id) VALUES ($1, $2) ON CONFLICT DO NOTHING
