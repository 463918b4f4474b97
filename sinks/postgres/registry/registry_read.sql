-- Every script with its site and organisation, and whether the script, its site or its organisation is paused.
SELECT script.script_id, script.site_id, site.org_id, script.enabled, script.shared_ids,
       EXISTS (SELECT FROM pause WHERE (kind, target) IN (
           ('script', script.script_id), ('site', script.site_id::text), ('org', site.org_id::text))) AS paused
FROM script JOIN site USING (site_id)
