-- Figures in one row: losses that are not acknowledged, totals that do not add up, the gate, and the space in Postgres.
SELECT (SELECT saturated(coalesce(sum(greatest(0, lost::numeric - lost_acknowledged)), 0)) FROM stream_offset) AS lost_unacknowledged,
       (SELECT count(*) FROM stream_offset
        WHERE next_offset::numeric - base_offset <> live::numeric + stale + skipped + lost
       ) AS unbalanced_partitions,
       coalesce((SELECT NOT passed FROM gate_state WHERE target = 'total'), false) AS gate_failing,
       (SELECT count(*) FROM gate_state WHERE target <> 'total' AND NOT passed) AS gate_failing_sites,
       (SELECT extract(epoch FROM max(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''([^'']+)''\)')::timestamptz))
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = to_regclass('bridge_event'))::float8 AS partitions_end,
       pg_database_size(current_database()) AS database_bytes
