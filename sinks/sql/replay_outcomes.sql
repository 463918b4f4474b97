-- What became of the plan $1, by site; why, of what was dropped again or skipped.
SELECT site_id, outcome, CASE outcome WHEN 'dropped' THEN dropped_reason WHEN 'skipped' THEN skipped END AS why, count(*) AS items
FROM replay_outcome
WHERE replay_id = $1
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
