-- The outcomes of the first $2 items that were sent.
SELECT site_id, outcome, CASE outcome WHEN 'dropped' THEN dropped_reason END AS why, count(*) AS items
FROM (
    SELECT site_id, outcome, dropped_reason
    FROM replay_outcome
    WHERE replay_id = $1 AND outcome NOT IN ('skipped', 'open', 'in_doubt')
    ORDER BY position
    LIMIT $2
) AS canary
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
