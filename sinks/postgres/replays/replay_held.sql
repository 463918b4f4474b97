-- The size of the plans of the organisation $1: their number, their items, and bytes as Postgres stores them.
SELECT count(*) AS plans, saturated(coalesce(sum(planned), 0)) AS items,
       coalesce(sum(pg_column_size(filter) + pg_column_size(corrections) + coalesce(pg_column_size(report), 0)), 0)::bigint AS bytes
FROM replay
WHERE org_id = $1
