-- History is append-only for every account but the schema's owner, also for those that still have more grants than they need:
-- who began which run and how it ended, who asked for which replay, and who may use the API. What changes by design stays
-- free: a run ends once, a plan goes on, a token is used and revoked.

CREATE FUNCTION keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was CONSTANT jsonb := to_jsonb(OLD);
    becomes CONSTANT jsonb := to_jsonb(NEW);
    kept text;
BEGIN
    IF pg_has_role((SELECT relowner FROM pg_class WHERE oid = TG_RELID), 'USAGE') THEN
        RETURN coalesce(NEW, OLD);
    END IF;
    IF TG_OP <> 'UPDATE' THEN
        RAISE insufficient_privilege USING MESSAGE = format('%s of %s: history is the owner''s to change', TG_OP, TG_TABLE_NAME);
    END IF;
    FOREACH kept IN ARRAY TG_ARGV LOOP
        IF was -> kept IS DISTINCT FROM becomes -> kept THEN
            RAISE insufficient_privilege
                USING MESSAGE = format('UPDATE of %s.%s: history is the owner''s to change', TG_TABLE_NAME, kept);
        END IF;
    END LOOP;
    RETURN NEW;
END
$$;

CREATE TRIGGER script_run_kept BEFORE UPDATE OR DELETE ON script_run
    FOR EACH ROW EXECUTE FUNCTION keep_history('run_id', 'script', 'started_by', 'started_at');
CREATE TRIGGER script_run_ends_once BEFORE UPDATE ON script_run
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL OR NEW.ended_at IS NULL)
    EXECUTE FUNCTION keep_history('ended_at', 'exit_code', 'summary');
CREATE TRIGGER script_run_not_truncated BEFORE TRUNCATE ON script_run
    FOR EACH STATEMENT EXECUTE FUNCTION keep_history();

CREATE TRIGGER replay_kept BEFORE UPDATE ON replay
    FOR EACH ROW EXECUTE FUNCTION keep_history('replay_id', 'requested_by', 'reason', 'filter', 'corrections', 'org_id', 'created_at');

CREATE TRIGGER api_token_kept BEFORE UPDATE OR DELETE ON api_token
    FOR EACH ROW EXECUTE FUNCTION keep_history('key_id', 'name', 'digest', 'role', 'org_id', 'created_at', 'created_by', 'expires_at');
CREATE TRIGGER api_token_revoked_once BEFORE UPDATE ON api_token
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL) EXECUTE FUNCTION keep_history('revoked_at', 'revoked_by');
