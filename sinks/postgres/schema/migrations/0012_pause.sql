-- What an operator has paused: a partition of a raw topic, which is then not read, or a script, site or organisation,
-- whose events the gateway refuses for the time being and the stream parks on the retry topics. `target` is
-- `topic:partition`, a script_id, or the id of a site or organisation.
CREATE TABLE pause (
    kind text NOT NULL CHECK (kind IN ('partition', 'script', 'site', 'org')),
    target text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT now(),
    paused_by text NOT NULL,
    reason text NOT NULL,
    CONSTRAINT pause_pkey PRIMARY KEY (kind, target)
);
CREATE TRIGGER pause_changed AFTER INSERT OR UPDATE OR DELETE ON pause
    FOR EACH STATEMENT EXECUTE FUNCTION notify_registry();
