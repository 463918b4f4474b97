-- Events that were dropped more than once, the most often first, at most $1, and a script that they name. Their hashes
-- are counted first, in the index alone; two ids that share one are told apart in the rows, but not in `hashes`, which
-- is how many hashes were dropped more than once.
WITH meant AS NOT MATERIALIZED (
    SELECT l.event_hash, l.event_id, l.site_id, l.script_id, l.outcome_at
    FROM bridge_event_raw AS l
    WHERE /* conditions */ true AND l.event_hash IS NOT NULL
), often AS MATERIALIZED (
    SELECT event_hash, count(*) AS drops, count(*) OVER () AS hashes
    FROM meant
    GROUP BY event_hash
    HAVING count(*) > 1
    ORDER BY drops DESC
    LIMIT 2 * $1::int + 100
)
SELECT max(m.script_id) AS script_id, m.site_id, m.event_id, count(*) AS drops,
       min(m.outcome_at) AS first_at, max(m.outcome_at) AS last_at, max(o.hashes) AS hashes
FROM often AS o JOIN meant AS m USING (event_hash)
GROUP BY m.event_id, m.site_id
HAVING count(*) > 1
ORDER BY drops DESC, last_at DESC
LIMIT $1
