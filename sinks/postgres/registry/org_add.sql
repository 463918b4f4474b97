-- An organisation, if it is new.
INSERT INTO org (org_id) VALUES ($1) ON CONFLICT DO NOTHING
