-- Locks dead letters against claims, releases and discards until claims_release: the functions of migration 0019 take
-- this lock for share.
SELECT pg_advisory_lock(1651665262, 1)
