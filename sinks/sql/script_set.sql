-- A script's site and origins.
UPDATE script SET site_id = $2, origins = $3, updated_at = now() WHERE script_id = $1
