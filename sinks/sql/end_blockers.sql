-- Ends the sessions that keep backend $1 waiting, if they are of this product's workers ($2 is the name's prefix):
-- a stopped process can hold a lock for ever, and no time-out of Postgres ends a stalled COPY.
SELECT pid, pg_terminate_backend(pid) AS ended
FROM pg_stat_activity
WHERE pid = ANY (pg_blocking_pids($1::int)) AND starts_with(application_name, $2::text)
  AND now() - xact_start > make_interval(secs => $3::float8)
