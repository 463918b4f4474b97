-- The offset rows of newly assigned partitions. Missing rows are created at the log's beginning, before any batch.
INSERT INTO stream_offset AS o (group_id, topic, partition, base_offset, next_offset, worker, epoch, cluster_id)
SELECT $1, n.topic, n.partition, n.beginning, n.beginning, $5, 1, $6
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS n (topic, partition, beginning)
ORDER BY n.topic, n.partition
ON CONFLICT (group_id, topic, partition) DO UPDATE
SET worker = excluded.worker, epoch = least(o.epoch, 9223372036854775806) + 1, cluster_id = coalesce(o.cluster_id, excluded.cluster_id), held = NULL
RETURNING topic, partition, next_offset
