-- The answering backend, and whether the server has backend $1 under the application's name $2. A standby can't know,
-- so it is not asked: sessions that write are on the primary.
SELECT pg_backend_pid() AS own,
  pg_is_in_recovery() OR EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1::int AND application_name = $2::text) AS has
