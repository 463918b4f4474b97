-- No service's account locks a row of api_token, since when a token was used last is noted beside it; and a session that keeps
-- rows locked does not stop workers for longer than a minute. Nothing is rewritten, and each lock is held for a moment.

CREATE TABLE api_token_use (
    key_id text PRIMARY KEY REFERENCES api_token,
    last_used_at timestamptz NOT NULL
);
INSERT INTO api_token_use (key_id, last_used_at)
SELECT key_id, last_used_at FROM api_token WHERE last_used_at IS NOT NULL;

COMMENT ON TABLE api_token_use IS
    'When tokens of the operators'' HTTP API were used last. An account that may note it can lock these rows, and none of api_token.';
COMMENT ON COLUMN api_token_use.key_id IS 'Key; the part of the token that is no secret';
COMMENT ON COLUMN api_token_use.last_used_at IS 'When it was last used, to the minute or so';
COMMENT ON COLUMN api_token.last_used_at IS
    'When it was last used, as releases before 0018 noted it; see api_token_use';

-- A time-out of sessions that are idle in a transaction is a default, which each session may set anew. A worker can't end
-- sessions of other accounts, so this function does, under the schema's owner and within bounds that no caller moves: only
-- what keeps a session of the caller's own account waiting, in a transaction of a minute's age, and neither the owner's nor a
-- superuser's. Without pg_signal_backend or pg_read_all_stats of the owner it ends nothing.
CREATE FUNCTION end_lock_holders(waiting int) RETURNS TABLE (pid int, role text, ended boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
SELECT a.pid, a.usename::text, pg_terminate_backend(a.pid)
FROM pg_stat_activity AS a
JOIN pg_roles AS r ON r.oid = a.usesysid
WHERE a.pid = ANY (pg_blocking_pids(waiting))
  AND EXISTS (SELECT FROM pg_stat_activity AS w WHERE w.pid = waiting AND w.usename = session_user)
  AND a.datname = current_database()
  AND a.usename <> current_user
  AND NOT r.rolsuper
  AND clock_timestamp() - a.xact_start > interval '60 s'
  AND pg_has_role('pg_signal_backend', 'USAGE')
$$;
COMMENT ON FUNCTION end_lock_holders(int) IS
    'Ends sessions whose transactions have kept a session of the caller''s account waiting for a lock, and are older than a minute.';
