-- Stores the reasons why these items of the plan $1 were skipped.
UPDATE replay_item AS i
SET skipped = n.why
FROM unnest($2::bigint[], $3::text[]) AS n (position, why)
WHERE i.replay_id = $1 AND i.position = n.position
