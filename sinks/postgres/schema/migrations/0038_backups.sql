-- Backups that the owner's commands know of, for the doctor and the metrics. The store has the backups themselves, and is what counts.
-- After a restore the next command writes what the restored table lacks.
CREATE TABLE backup (
    backup_id text PRIMARY KEY CHECK (backup_id ~ '^[0-9A-Za-z][0-9A-Za-z._-]{0,99}$'),
    kind text NOT NULL CHECK (kind IN ('dump', 'external')),
    taken_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    stored_at text NOT NULL CHECK (octet_length(stored_at) <= 2000),
    stored_bytes bigint CHECK (stored_bytes >= 0),
    row_count bigint CHECK (row_count >= 0),
    encrypted boolean,
    checked_at timestamptz,
    problem text CHECK (octet_length(problem) <= 4000),
    restore_seconds double precision CHECK (restore_seconds >= 0),
    removed_at timestamptz,
    note text CHECK (octet_length(note) <= 2000),
    CONSTRAINT backup_times CHECK (
        taken_at BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00'
        AND ended_at BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00'
        AND checked_at BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00'
        AND removed_at BETWEEN '0001-01-01 00:00+00' AND '9999-12-31 23:59:59.999999+00'
    )
);
-- As migration 0031 for the other tables.
DO $do$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = 'backup'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage = 'x'
        ORDER BY a.attnum
    LOOP
        EXECUTE format('ALTER TABLE backup ALTER COLUMN %I SET STORAGE EXTERNAL', found.attname);
    END LOOP;
END
$do$;

COMMENT ON TABLE backup IS
    'Backups of this database, written by the owner''s commands. A backup is in the store, or made by another program and attested.';
COMMENT ON COLUMN backup.backup_id IS 'Name of the backup, which begins with its time';
COMMENT ON COLUMN backup.kind IS 'dump (by bridge backup create) or external (by another program, attested by bridge backup attest)';
COMMENT ON COLUMN backup.taken_at IS 'The time whose state the backup has';
COMMENT ON COLUMN backup.ended_at IS 'When the backup was complete';
COMMENT ON COLUMN backup.stored_at IS 'Where the backup is: the store''s URL, or what the operator gave';
COMMENT ON COLUMN backup.stored_bytes IS 'Size of the dump in the store; null if not known';
COMMENT ON COLUMN backup.row_count IS 'Rows of all tables in the backup; null if not known';
COMMENT ON COLUMN backup.encrypted IS 'Whether the dump is encrypted; null if not known';
COMMENT ON COLUMN backup.checked_at IS 'When a restore of the backup was last tried; null if never';
COMMENT ON COLUMN backup.problem IS 'Why that restore was refused or incomplete; null of a verified backup';
COMMENT ON COLUMN backup.restore_seconds IS 'How long that restore took; null if not known';
COMMENT ON COLUMN backup.removed_at IS 'When the backup was found to be no longer in the store; null while it is there';
COMMENT ON COLUMN backup.note IS 'Note of the operator; null without one';

-- Postgres renders a comparison of rows with other parentheses after a dump and restore, so that a restored schema would differ from what
-- the code needs. The condition is the same.
CREATE OR REPLACE TRIGGER bridge_event_raw_identity BEFORE UPDATE OF site_id, script_id, sender ON bridge_event_raw FOR EACH ROW
WHEN (OLD.sender IS NOT NULL AND (
    OLD.site_id IS DISTINCT FROM NEW.site_id OR OLD.script_id IS DISTINCT FROM NEW.script_id OR OLD.sender IS DISTINCT FROM NEW.sender))
EXECUTE FUNCTION keep_history('site_id', 'script_id', 'sender');
