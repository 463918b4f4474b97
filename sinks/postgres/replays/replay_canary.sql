-- The outcomes of the first $2 items that were sent. Beyond the $3 most frequent combinations, sites and reasons are left
-- out, since accounts may write any number of them.
SELECT CASE WHEN rank <= $3::int THEN site_id END AS site_id, outcome,
       CASE WHEN rank <= $3::int THEN why WHEN why IS NOT NULL THEN 'other' END AS why, sum(items)::bigint AS items
FROM (
    SELECT site_id, outcome, CASE outcome WHEN 'dropped' THEN dropped_reason END AS why, count(*) AS items,
           row_number() OVER (ORDER BY count(*) DESC) AS rank
    FROM (
        SELECT site_id, outcome, dropped_reason
        FROM replay_outcome
        WHERE replay_id = $1 AND outcome NOT IN ('skipped', 'open', 'in_doubt')
        ORDER BY position
        LIMIT $2
    ) AS canary
    GROUP BY 1, 2, 3
) AS counted
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
