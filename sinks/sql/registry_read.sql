-- Every script with its site and organisation.
SELECT script.script_id, script.site_id, site.org_id, script.enabled FROM script JOIN site USING (site_id)
