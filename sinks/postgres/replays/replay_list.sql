-- The newest plans, of the organisation $2 if it is given, with the columns that a list needs. Filter, corrections and
-- report are left out, because their size is not bounded.
SELECT r.replay_id::text AS replay_id, left(r.requested_by, 1000) AS requested_by, left(r.reason, 1000) AS reason,
       r.corrections <> '[]' AS corrected, r.planned, r.published, r.sent_to, r.state, left(r.ended_by, 1000) AS ended_by,
       left(r.ended_because, 1000) AS ended_because, r.created_at, r.updated_at, r.org_id
FROM replay AS r
WHERE $2::bigint IS NULL OR r.org_id = $2
ORDER BY r.created_at DESC, r.replay_id
LIMIT $1
