-- Keeps dead letters from being claimed, released and discarded until the transaction ends: the functions of migration 0019 take this lock
-- in share mode.
SELECT pg_advisory_xact_lock(1651665262, 1)
