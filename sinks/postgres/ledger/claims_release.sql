-- Ends what claims_keep began.
SELECT pg_advisory_unlock(1651665262, 1)
