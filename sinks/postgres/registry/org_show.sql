-- Whether an organisation is registered.
SELECT org_id FROM org WHERE org_id = $1
