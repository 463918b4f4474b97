-- The plans whose id begins with $1, of the organisation $2 if it is given; at most $3.
SELECT r.replay_id::text AS replay_id, r.requested_by, r.reason, r.filter, r.corrections, r.report, r.planned, r.published,
       r.sent_to, coalesce((SELECT max(position) FROM replay_item WHERE replay_id = r.replay_id), 0) AS last_position,
       r.state, r.ended_by, r.ended_because, r.created_at, r.updated_at, r.org_id
FROM replay AS r
WHERE starts_with(r.replay_id::text, $1) AND ($2::bigint IS NULL OR r.org_id = $2)
ORDER BY r.created_at DESC
LIMIT $3
