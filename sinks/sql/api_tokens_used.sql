-- When tokens were used last.
UPDATE api_token AS t
SET last_used_at = n.used_at
FROM unnest($1::text[], $2::timestamptz[]) AS n (key_id, used_at)
WHERE t.key_id = n.key_id AND (t.last_used_at IS NULL OR t.last_used_at < n.used_at)
