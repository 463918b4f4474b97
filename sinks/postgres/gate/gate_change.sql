-- Stores a verdict that differs from the current one. A target without a current verdict counts as passing.
INSERT INTO gate_state (target, passed, change) VALUES ($1, $2, $3::jsonb)
ON CONFLICT (target) DO UPDATE
SET passed = excluded.passed, change = excluded.change, change_id = gen_random_uuid(), changed_at = now(), published = false
WHERE gate_state.passed IS DISTINCT FROM excluded.passed
