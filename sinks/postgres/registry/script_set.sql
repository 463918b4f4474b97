-- Sets a script's site, origins, and whether its event ids are one name space.
UPDATE script SET site_id = $2, origins = $3, shared_ids = $4, updated_at = now() WHERE script_id = $1
