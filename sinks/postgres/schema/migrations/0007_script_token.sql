-- API keys of server producers: the digest of each secret, never the secret; a revoked one stays to be named.
CREATE TABLE script_token (
    key_id text PRIMARY KEY CHECK (length(key_id) BETWEEN 1 AND 64),
    script_id text NOT NULL REFERENCES script,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    note text NOT NULL DEFAULT '' CHECK (length(note) <= 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    revoked_at timestamptz,
    revoked_by text,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

CREATE INDEX script_token_script ON script_token (script_id) WHERE revoked_at IS NULL;

CREATE TRIGGER script_token_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON script_token
    FOR EACH STATEMENT EXECUTE FUNCTION notify_registry();
