-- API tokens of operators: the digest of each secret, never the secret. A name is never given twice, so that the history of
-- runs says for ever who did what. Without an organisation a token is good for all. Plans carry the organisation that
-- they were made for.
CREATE TABLE api_token (
    key_id text PRIMARY KEY CHECK (length(key_id) BETWEEN 1 AND 64),
    name text NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 64),
    digest bytea NOT NULL CHECK (length(digest) = 32),
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    org_id bigint REFERENCES org,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    revoked_by text,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);

-- That a token was used is no news for those who keep a copy.
CREATE TRIGGER api_token_changed AFTER INSERT OR DELETE OR TRUNCATE OR UPDATE OF digest, role, org_id, expires_at, revoked_at
    ON api_token FOR EACH STATEMENT EXECUTE FUNCTION notify_registry();

ALTER TABLE replay ADD COLUMN org_id bigint REFERENCES org;
