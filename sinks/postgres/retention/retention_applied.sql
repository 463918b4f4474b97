-- Notes that the plan $1 is applied, once all of its steps are complete.
UPDATE retention_plan AS p
SET applied_at = now()
WHERE p.plan_id = $1::uuid AND p.applied_at IS NULL
  AND NOT EXISTS (SELECT FROM retention_step AS s WHERE s.plan_id = p.plan_id AND s.ended_at IS NULL)
