-- The number of lanes with a session in this database, and of those that are working, by worker. Postgres may have cut
-- the worker's name.
SELECT split_part(application_name, ' ', 3) AS worker, count(*) AS lanes,
       count(*) FILTER (WHERE state IS DISTINCT FROM 'idle') AS busy
FROM pg_stat_activity
WHERE datname = current_database() AND starts_with(application_name, $1)
GROUP BY 1
