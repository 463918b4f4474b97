-- The lanes' sessions in this database by worker, whose name may be cut off, and how many are at work.
SELECT split_part(application_name, ' ', 3) AS worker, count(*) AS lanes,
       count(*) FILTER (WHERE state IS DISTINCT FROM 'idle') AS busy
FROM pg_stat_activity
WHERE datname = current_database() AND starts_with(application_name, $1)
GROUP BY 1
