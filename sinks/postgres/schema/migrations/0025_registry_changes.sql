-- Changes of the registry are on record: scripts, sites, organisations, keys, API tokens and pauses, whichever way they are made.
-- Nothing is rewritten, and each lock is held for a moment. The statements of the release before fire the same triggers.
CREATE TABLE registry_change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    written_at timestamptz NOT NULL,
    written_by text NOT NULL,
    changed_by text,
    reason text,
    subject text NOT NULL CHECK (subject ~ '^[a-z][a-z_]{0,62}$'),
    change text NOT NULL CHECK (change ~ '^[a-z][a-z_]{0,62}$'),
    name text NOT NULL,
    script_id text,
    site_id bigint,
    org_id bigint,
    old jsonb CHECK (jsonb_typeof(old) = 'object'),
    new jsonb CHECK (jsonb_typeof(new) = 'object')
);
COMMENT ON TABLE registry_change IS
    'Changes of the registry since 0025, written by triggers, one row for each changed row, append-only. They are few and are kept without an end.';
COMMENT ON COLUMN registry_change.change_id IS 'Key; a later change has a greater one';
COMMENT ON COLUMN registry_change.written_at IS 'When the transaction that made the change began, by Postgres'' clock';
COMMENT ON COLUMN registry_change.written_by IS
    'The database account that made the change, by Postgres. changed_by is what that account says';
COMMENT ON COLUMN registry_change.changed_by IS
    'Who made it, as the command says: the operating system''s account and the host; null where nobody says, such as in psql';
COMMENT ON COLUMN registry_change.reason IS 'Why, of a pause''s start and end; null otherwise';
COMMENT ON COLUMN registry_change.subject IS 'The table of what was changed: script, site, org, script_token, api_token or pause';
COMMENT ON COLUMN registry_change.change IS
    'added, created (a token) or started (a pause); moved, enabled, disabled, revoked, restored (no longer revoked) or changed; removed or ended (a pause)';
COMMENT ON COLUMN registry_change.name IS
    'Which one: the script, site or organisation, the key id of a script_token, the name of an api_token, the target of a pause';
COMMENT ON COLUMN registry_change.script_id IS 'The script that it is or belongs to; null if none';
COMMENT ON COLUMN registry_change.site_id IS 'The site that it is or belongs to after the change; null if none';
COMMENT ON COLUMN registry_change.org_id IS 'The organisation that it is or belongs to after the change; null if none';
COMMENT ON COLUMN registry_change.old IS 'Former values of the columns that changed; null of what is new. A digest is never kept';
COMMENT ON COLUMN registry_change.new IS 'Their values after the change; null of what was removed. A digest is never kept';

CREATE TRIGGER registry_change_writer BEFORE INSERT ON registry_change FOR EACH ROW EXECUTE FUNCTION note_writer();
CREATE TRIGGER registry_change_kept BEFORE UPDATE OR DELETE ON registry_change FOR EACH ROW EXECUTE FUNCTION keep_history(
    'change_id', 'written_at', 'written_by', 'changed_by', 'reason', 'subject', 'change', 'name', 'script_id', 'site_id', 'org_id',
    'old', 'new');
CREATE TRIGGER registry_change_not_truncated BEFORE TRUNCATE ON registry_change
    FOR EACH STATEMENT EXECUTE FUNCTION keep_history();

-- By its owner's rights, so that no account needs a right to write history. An account that may execute it could make it the
-- trigger of a table of its own.
CREATE FUNCTION note_registry_change() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    source text := '(SELECT $1 AS was, $2 AS becomes)';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        source := format('(SELECT to_jsonb(t) AS was, NULL::jsonb AS becomes FROM %I.%I AS t)', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    END IF;
    EXECUTE format($sql$
        INSERT INTO %1$I.registry_change (changed_by, reason, subject, change, name, script_id, site_id, org_id, old, new)
        SELECT coalesce(c.becomes ->> w.signature, nullif(current_setting('bridge.changed_by', true), '')),
               coalesce(c.becomes ->> 'reason', nullif(current_setting('bridge.reason', true), '')),
               $4, w.change, r.known ->> ($3)[0], p.script_id, p.site_id,
               coalesce((r.known ->> 'org_id')::bigint, CASE WHEN p.kind = 'org' THEN p.number END, site.org_id),
               CASE WHEN c.was IS NOT NULL THEN d.old END, CASE WHEN c.becomes IS NOT NULL THEN d.new END
        FROM %2$s AS c
        CROSS JOIN LATERAL (
            SELECT jsonb_object_agg(a.name, CASE a.name WHEN 'digest' THEN '"not kept"' ELSE c.was -> a.name END) AS old,
                   jsonb_object_agg(a.name, CASE a.name WHEN 'digest' THEN '"not kept"' ELSE c.becomes -> a.name END) AS new
            FROM unnest($3) AS a (name)
            WHERE coalesce(c.was -> a.name, 'null') <> coalesce(c.becomes -> a.name, 'null')
              AND (a.name <> 'digest' OR c.was IS NOT NULL AND c.becomes IS NOT NULL)
            HAVING count(*) > 0
        ) AS d
        CROSS JOIN LATERAL (SELECT coalesce(c.becomes, c.was) AS known) AS r
        CROSS JOIN LATERAL (
            SELECT t.change,
                   CASE t.change WHEN 'created' THEN 'created_by' WHEN 'revoked' THEN 'revoked_by' WHEN 'started' THEN 'paused_by' END
                       AS signature
            FROM (SELECT CASE
                WHEN c.was IS NULL THEN CASE WHEN $4 = 'pause' THEN 'started' WHEN $4 LIKE '%%token' THEN 'created' ELSE 'added' END
                WHEN c.becomes IS NULL THEN CASE WHEN $4 = 'pause' THEN 'ended' ELSE 'removed' END
                WHEN d.new ? 'revoked_at' THEN CASE WHEN c.becomes ->> 'revoked_at' IS NULL THEN 'restored' ELSE 'revoked' END
                WHEN $4 = 'script' AND d.new ? 'site_id' OR $4 = 'site' AND d.new ? 'org_id' THEN 'moved'
                WHEN d.new ? 'enabled' THEN CASE WHEN (c.becomes ->> 'enabled')::boolean THEN 'enabled' ELSE 'disabled' END
                ELSE 'changed'
            END AS change) AS t
        ) AS w
        CROSS JOIN LATERAL (
            SELECT r.known ->> 'kind' AS kind,
                   CASE WHEN r.known ->> 'kind' = 'script' THEN r.known ->> 'target' ELSE r.known ->> 'script_id' END AS script_id,
                   CASE WHEN r.known ->> 'target' ~ '^[0-9]{1,18}$' THEN (r.known ->> 'target')::bigint END AS number
        ) AS n
        LEFT JOIN %1$I.script ON script.script_id = n.script_id
        CROSS JOIN LATERAL (
            SELECT n.*, coalesce((r.known ->> 'site_id')::bigint, CASE WHEN n.kind = 'site' THEN n.number END, script.site_id) AS site_id
        ) AS p
        LEFT JOIN %1$I.site ON site.site_id = p.site_id
    $sql$, TG_TABLE_SCHEMA, source) USING to_jsonb(OLD), to_jsonb(NEW), TG_ARGV, TG_TABLE_NAME::text;
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION note_registry_change() FROM PUBLIC;
COMMENT ON FUNCTION note_registry_change() IS
    'Trigger: notes a change of a row of the registry. Its arguments are the columns that are compared, first the one that names the row.';

-- Times that only say when a row was written or used are left out.
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.relation, t.compared FROM (VALUES
            ('org', '''org_id'''),
            ('site', '''site_id'', ''org_id'''),
            ('script', '''script_id'', ''site_id'', ''enabled'', ''origins'', ''shared_ids'''),
            ('script_token', '''key_id'', ''script_id'', ''digest'', ''note'', ''created_by'', ''revoked_at'', ''revoked_by'''),
            ('api_token', '''name'', ''key_id'', ''digest'', ''role'', ''org_id'', ''created_by'', ''expires_at'', ''revoked_at'', ''revoked_by'''),
            ('pause', '''target'', ''kind'', ''paused_by'', ''reason''')
        ) AS t (relation, compared)
    LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION note_registry_change(%s)',
                       one.relation || '_noted', one.relation, one.compared);
        EXECUTE format('CREATE TRIGGER %I BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION note_registry_change(%s)',
                       one.relation || '_emptied', one.relation, one.compared);
    END LOOP;
END
$do$;

CREATE VIEW script_change AS
SELECT change_id, written_at, subject, change, name, script_id, site_id, org_id, old, new
FROM registry_change
WHERE subject IN ('script', 'site', 'org');
COMMENT ON VIEW script_change IS
    'Changes of scripts, sites and organisations since 0025, without who made them and without keys, tokens and pauses.';
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT a.attname, d.description
        FROM pg_attribute AS a
        JOIN pg_description AS d ON d.objoid = a.attrelid AND d.objsubid = a.attnum AND d.classoid = 'pg_class'::regclass
        JOIN pg_attribute AS v ON v.attrelid = 'script_change'::regclass AND v.attname = a.attname
        WHERE a.attrelid = 'registry_change'::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN script_change.%I IS %L', one.attname, one.description);
    END LOOP;
END
$do$;
