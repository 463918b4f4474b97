-- The registry for the gateway: each script with its site, organisation and origins, and whether the script, its site
-- or its organisation is paused. A script has one row for each of its API keys, or one row without a key. Revoked keys
-- stay for a month, so that requests with one get an error that names the reason.
SELECT script.script_id, script.site_id, site.org_id, script.enabled, script.shared_ids, script.origins,
       EXISTS (SELECT FROM pause WHERE (kind, target) IN (
           ('script', script.script_id), ('site', script.site_id::text), ('org', site.org_id::text))) AS paused,
       script_token.key_id, script_token.digest, script_token.revoked_at IS NOT NULL AS revoked
FROM script JOIN site USING (site_id)
LEFT JOIN script_token ON script_token.script_id = script.script_id
    AND (script_token.revoked_at IS NULL OR script_token.revoked_at > now() - interval '30 days')
