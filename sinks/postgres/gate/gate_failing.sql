-- The evaluated targets whose current verdict is a fail, the total first, and the time of the verdict.
SELECT target, changed_at FROM gate_state
WHERE NOT passed AND target IN (SELECT 'site:' || site_id FROM site UNION ALL VALUES ('site:0'), ('total'))
ORDER BY target <> 'total', changed_at, target
