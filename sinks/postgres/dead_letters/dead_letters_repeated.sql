-- Events that were dropped more than once, without their own replays, the most frequent first, at most $1, each with a
-- script that it names. The hashes of their ids are counted first, from the index alone. The index has neither replays
-- nor ids. Replays, and two ids with the same hash, are therefore distinguished only in the rows of the most frequent
-- hashes, and of a thousand hashes that may be an event and its replay. `hashes` is the number of hashes that were
-- dropped more than once, without those whose rows show no repeated event.
WITH meant AS NOT MATERIALIZED (
    SELECT l.event_hash, l.event_id, l.site_id, l.script_id, l.outcome_at, l.replay_of
    FROM bridge_event_raw AS l
    WHERE /* conditions */ true AND l.event_hash IS NOT NULL
), again AS MATERIALIZED (
    SELECT event_hash, count(*) AS drops
    FROM meant
    GROUP BY event_hash
    HAVING count(*) > 1
), often AS MATERIALIZED (
    (SELECT event_hash FROM again ORDER BY drops DESC LIMIT 2 * $1::int + 100)
    UNION
    (SELECT event_hash FROM again WHERE drops = 2 LIMIT 1000)
), found AS MATERIALIZED (
    SELECT max(m.script_id) AS script_id, m.site_id, m.event_id, count(*) AS drops,
           min(m.outcome_at) AS first_at, max(m.outcome_at) AS last_at, m.event_hash
    FROM often AS o JOIN meant AS m USING (event_hash)
    WHERE m.replay_of IS NULL
    GROUP BY m.event_id, m.site_id, m.event_hash
    HAVING count(*) > 1
)
SELECT script_id, site_id, event_id, drops, first_at, last_at,
       (SELECT count(*) FROM again) - (SELECT count(*) FROM often) + (SELECT count(DISTINCT event_hash) FROM found) AS hashes
FROM found
ORDER BY drops DESC, last_at DESC
LIMIT $1
