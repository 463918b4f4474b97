-- Takes the lock of a script and scope for this session; returns false if another session holds it.
SELECT pg_try_advisory_lock(hashtextextended($1::text, 0::bigint))
