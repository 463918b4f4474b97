-- Other sessions of this database, at most 5, those of the product first.
SELECT pid, coalesce(usename, '?') AS role, coalesce(nullif(application_name, ''), 'no application name') AS application
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
  AND starts_with(application_name, $1::text)
  AND NOT starts_with(application_name, $2::text)
ORDER BY 1
LIMIT 5
