-- The newest changes of the registry, since $2 and of the script $1 if these are given. The changes of a script include
-- those of the sites and organisations that it has belonged to.
WITH place AS (
    SELECT site_id, org_id FROM registry_change WHERE script_id = $1
    UNION
    SELECT site_id, site.org_id FROM script JOIN site USING (site_id) WHERE script_id = $1
)
SELECT written_at, subject, change, name, script_id, site_id, org_id, changed_by, written_by, reason, old, new
FROM registry_change
WHERE ($2::timestamptz IS NULL OR written_at >= $2)
  AND ($1::text IS NULL OR $1 IN (script_id, old ->> 'script_id')
       OR script_id IS NULL AND subject <> 'api_token' AND CASE
           WHEN site_id IS NULL THEN org_id IN (SELECT org_id FROM place)
           ELSE site_id IN (SELECT site_id FROM place)
       END)
ORDER BY written_at DESC, change_id DESC
LIMIT $3
