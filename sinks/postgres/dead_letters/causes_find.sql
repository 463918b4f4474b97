-- The causes whose keys are from $1 to $2, at most $4; of the sites of the organisations $3, if they are given.
SELECT DISTINCT l.cause
FROM bridge_event_raw AS l
WHERE l.dropped_reason IS NOT NULL AND l.cause BETWEEN $1 AND $2
  AND ($3::bigint[] IS NULL OR l.site_id IN (SELECT s.site_id FROM site AS s WHERE s.org_id = ANY ($3)))
ORDER BY l.cause
LIMIT $4
