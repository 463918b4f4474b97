-- The backend that answers, and whether the server has backend $1 under the application's name $2. A standby is not asked
-- for what it can't know: sessions that write are on the primary.
SELECT pg_backend_pid() AS own,
  pg_is_in_recovery() OR EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1::int AND application_name = $2::text) AS has
