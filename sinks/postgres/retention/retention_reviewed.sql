-- The steps of the plan that was applied last.
SELECT s.kind, s.keep
FROM retention_step AS s
WHERE s.plan_id = (SELECT p.plan_id FROM retention_plan AS p WHERE p.applied_at IS NOT NULL ORDER BY p.applied_at DESC LIMIT 1)
