-- The steps of the plan $1.
SELECT kind, keep, before, rows, bytes, position, rows_removed, bytes_removed, ended_at FROM retention_step WHERE plan_id = $1::uuid ORDER BY kind
