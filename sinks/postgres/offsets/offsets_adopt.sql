-- Replaces a log by its successor, from the successor's beginning; returns no row if another session has done so
-- already.
INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, cluster_id)
VALUES ($1, $2, $3, $4, $4, $5)
ON CONFLICT DO NOTHING
RETURNING next_offset
