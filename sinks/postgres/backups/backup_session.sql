-- Takes the time limits of role and database away for this transaction, which lasts as long as the dump or the digest of a month. Tables are read by one
-- process, which leaves the other processors to workers.
SELECT set_config(name, '0', true)
FROM pg_settings
WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout', 'max_parallel_workers_per_gather')
