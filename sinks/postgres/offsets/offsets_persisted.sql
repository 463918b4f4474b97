-- Whether events of group $1 became rows within the last $2 seconds.
SELECT coalesce(max(persisted_at) > now() - $2 * interval '1 second', false) FROM stream_offset WHERE group_id = $1
