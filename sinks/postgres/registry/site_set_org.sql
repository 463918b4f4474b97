-- Sets a site's organisation.
UPDATE site SET org_id = $2 WHERE site_id = $1
