-- What each consumer group has read of each log.
SELECT group_id, topic, partition, cluster_id, base_offset, next_offset FROM stream_offset ORDER BY 1, 2, 3
