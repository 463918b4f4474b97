-- Ends the sessions that block backend $1 if they are lanes of this product ($2 is the prefix of their name) and have
-- waited for their own process for $3 seconds. A stopped process can hold a lock forever, and no time-out of Postgres
-- ends a stalled COPY. A session that is working is not ended, however slow it is.
SELECT pid, pg_terminate_backend(pid) AS ended
FROM pg_stat_activity
WHERE pid = ANY (pg_blocking_pids($1::int)) AND starts_with(application_name, $2::text)
  AND (state IN ('idle in transaction', 'idle in transaction (aborted)') OR wait_event_type = 'Client')
  AND now() - greatest(state_change, query_start) > make_interval(secs => $3::float8)
