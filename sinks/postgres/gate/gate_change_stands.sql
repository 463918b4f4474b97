-- The change $2 of the verdict on the target $1, unless another one has come since.
SELECT target, passed, change_id::text AS change_id, changed_at, change FROM gate_state WHERE target = $1 AND change_id::text = $2
