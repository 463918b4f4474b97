-- Every script with its site and organisation.
SELECT script.script_id, script.site_id, site.org_id, script.enabled, script.shared_ids FROM script JOIN site USING (site_id)
