-- A script, locked until the transaction ends.
SELECT site_id, enabled, origins, shared_ids FROM script WHERE script_id = $1 FOR UPDATE
