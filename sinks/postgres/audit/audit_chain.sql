-- The places where the chain of closing entries is broken, at most $1: `missing` entries before this one, an `edited` one, an entry with
-- another digest `before` it, and an `end` other than the one that was noted with the last entry.
WITH entry AS (
    SELECT r.removal_id, r.previous, r.digest, removal_digest(r) AS computed,
           lag(r.removal_id, 1, 0::bigint) OVER chain AS id_before, lag(r.digest, 1, ''::bytea) OVER chain AS digest_before
    FROM removal AS r
    WINDOW chain AS (ORDER BY r.removal_id)
), broken AS (
    SELECT removal_id,
           CASE WHEN removal_id <> id_before + 1 THEN 'missing'
                WHEN digest <> computed THEN 'edited'
                WHEN previous <> digest_before THEN 'before' END AS what,
           id_before
    FROM entry
)
SELECT removal_id, what, id_before FROM broken WHERE what IS NOT NULL
UNION ALL
SELECT h.removals, 'end', coalesce(l.removal_id, 0)
FROM removal_head AS h
LEFT JOIN (SELECT removal_id, digest FROM removal ORDER BY removal_id DESC LIMIT 1) AS l ON true
WHERE (h.removals, h.digest) IS DISTINCT FROM (coalesce(l.removal_id, 0), coalesce(l.digest, ''))
ORDER BY 1, 2
LIMIT $1
