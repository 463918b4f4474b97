-- Ends the period in which gateway headers without a proof are believed; $1 is the run that ends it.
UPDATE gateway_trust SET legacy_until = now(), changed_by = $1 WHERE legacy_until > now()
