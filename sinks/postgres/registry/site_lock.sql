-- The organisation of a site, which is locked until the transaction ends.
SELECT org_id FROM site WHERE site_id = $1 FOR UPDATE
