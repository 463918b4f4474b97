-- Returns the changes of verdict with the targets $1 and the ids $2, without those that a later change of the target replaced.
-- A change that is longer than any evaluation writes is returned empty.
SELECT target, s.passed, claimed.change_id, s.changed_at,
       CASE WHEN octet_length(s.change::text) <= 10000 THEN s.change ELSE '{}' END AS change
FROM unnest($1::text[], $2::text[]) AS claimed (target, change_id)
JOIN gate_state AS s USING (target)
WHERE s.change_id::text = claimed.change_id
