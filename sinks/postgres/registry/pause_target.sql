-- Whether the registry has the script, site or organisation ($1 is the kind) of this name.
SELECT CASE $1
    WHEN 'script' THEN EXISTS (SELECT FROM script WHERE script_id = $2)
    WHEN 'site' THEN EXISTS (SELECT FROM site WHERE site_id::text = $2)
    ELSE EXISTS (SELECT FROM org WHERE org_id::text = $2)
END
