-- The registry for people, of one site ($1) or, if that is null, of all sites. A script's `updated_at` is right even if
-- an SQL statement that changed it did not set the column.
SELECT script.script_id, script.site_id, site.org_id, script.enabled, script.origins, script.created_at,
       greatest(script.updated_at, noted.changed_at) AS updated_at, script.shared_ids
FROM script JOIN site USING (site_id)
LEFT JOIN (
    SELECT script_id, max(written_at) AS changed_at FROM registry_change WHERE subject = 'script' GROUP BY script_id
) AS noted ON noted.script_id = script.script_id
WHERE $1::bigint IS NULL OR script.site_id = $1
ORDER BY script.site_id, script.script_id
