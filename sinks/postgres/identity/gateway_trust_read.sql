-- Until when gateway headers without a proof are believed, in milliseconds since the epoch.
SELECT (extract(epoch FROM legacy_until) * 1000)::bigint FROM gateway_trust
