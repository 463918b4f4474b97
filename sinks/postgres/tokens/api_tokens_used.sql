-- Records when tokens were last used.
INSERT INTO api_token_use AS u (key_id, last_used_at)
SELECT t.key_id, n.used_at
FROM unnest($1::text[], $2::timestamptz[]) AS n (key_id, used_at)
JOIN api_token AS t USING (key_id)
ORDER BY t.key_id
ON CONFLICT (key_id) DO UPDATE SET last_used_at = excluded.last_used_at WHERE u.last_used_at < excluded.last_used_at
