-- The newest plans, at most $1, with the sums of their steps.
SELECT p.plan_id::text AS plan_id, p.created_at, p.created_by, p.applied_at, coalesce(sum(s.rows), 0)::bigint AS rows,
       coalesce(sum(s.rows_removed), 0)::bigint AS rows_removed
FROM retention_plan AS p LEFT JOIN retention_step AS s USING (plan_id)
GROUP BY p.plan_id
ORDER BY p.created_at DESC
LIMIT $1
