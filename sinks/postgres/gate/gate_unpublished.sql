-- Changes that are not known to be published, the oldest first.
SELECT target, passed, change_id::text AS change_id, changed_at, change FROM gate_state WHERE NOT published ORDER BY changed_at
