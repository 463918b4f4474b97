-- Notes that the step $2 of the plan $1 has come to the position $3 and has removed $4 more rows with $5 bytes; $6 is whether it is complete.
-- Nothing changes if another run has continued the step from the position $7 meanwhile.
UPDATE retention_step
SET position = $3::jsonb, rows_removed = rows_removed + $4, bytes_removed = bytes_removed + $5, ended_at = CASE WHEN $6 THEN clock_timestamp() END
WHERE plan_id = $1::uuid AND kind = $2 AND ended_at IS NULL AND position IS NOT DISTINCT FROM $7::jsonb
RETURNING ended_at
