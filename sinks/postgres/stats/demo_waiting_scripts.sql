-- The scripts among $1 with events that wait for a retry.
SELECT DISTINCT script_id FROM bridge_event_raw WHERE NOT normalized AND script_id = ANY ($1::text[])
