-- Releases the lock of claims_keep.
SELECT pg_advisory_unlock(1651665262, 1)
