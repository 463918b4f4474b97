-- The plans whose id begins with $1, at most $2.
SELECT plan_id::text AS plan_id, created_at, created_by, applied_at FROM retention_plan WHERE starts_with(plan_id::text, $1)
ORDER BY created_at DESC
LIMIT $2
