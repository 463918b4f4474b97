-- The organisation of a site, which then stays until the transaction ends.
SELECT org_id FROM site WHERE site_id = $1 FOR UPDATE
