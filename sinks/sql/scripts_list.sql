-- The registry for people, of one site ($1) or, when that is null, of all.
SELECT script.script_id, script.site_id, site.org_id, script.enabled, script.origins, script.created_at,
       script.updated_at, script.shared_ids
FROM script JOIN site USING (site_id)
WHERE $1::bigint IS NULL OR script.site_id = $1
ORDER BY script.site_id, script.script_id
