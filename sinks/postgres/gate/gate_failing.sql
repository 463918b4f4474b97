-- The targets whose current verdict is a fail, the total first, and the time of the verdict.
SELECT target, changed_at FROM gate_state WHERE NOT passed ORDER BY target <> 'total', changed_at, target
