-- The process id of the backend that answers, and whether the server has backend $1 with the application's name $2. A
-- standby is not asked: sessions that write are on the primary, so a standby does not have them.
SELECT pg_backend_pid() AS own,
  pg_is_in_recovery() OR EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1::int AND application_name = $2::text) AS has
