-- History tells which account wrote it, whatever the account says; what a plan holds stays once the plan is made; and no
-- account without a grant keeps workers from judging. Nothing is rewritten, and each lock is held for a moment.

ALTER TABLE script_run ADD COLUMN written_by text, ADD COLUMN written_at timestamptz;
ALTER TABLE replay ADD COLUMN written_by text, ADD COLUMN written_at timestamptz;

COMMENT ON COLUMN script_run.written_by IS
    'The database account that wrote the row, by Postgres; null in rows of earlier releases. started_by is what that account says';
COMMENT ON COLUMN script_run.written_at IS 'When it wrote the row, by Postgres'' clock';
COMMENT ON COLUMN replay.written_by IS
    'The database account that wrote the row, by Postgres; null in rows of earlier releases. requested_by is what that account says';
COMMENT ON COLUMN replay.written_at IS 'When it wrote the row, by Postgres'' clock';

CREATE FUNCTION note_writer() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.written_by := session_user;
    NEW.written_at := now();
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION note_writer() IS 'Trigger: notes the account that writes a row of history.';

CREATE TRIGGER script_run_writer BEFORE INSERT ON script_run FOR EACH ROW EXECUTE FUNCTION note_writer();
CREATE TRIGGER script_run_writer_kept BEFORE UPDATE ON script_run
    FOR EACH ROW EXECUTE FUNCTION keep_history('written_by', 'written_at');
CREATE TRIGGER replay_writer BEFORE INSERT ON replay FOR EACH ROW EXECUTE FUNCTION note_writer();
CREATE TRIGGER replay_writer_kept BEFORE UPDATE ON replay
    FOR EACH ROW EXECUTE FUNCTION keep_history('written_by', 'written_at');

-- The right to remove items would be one to remove those of every plan, and to lock the table. By this function a transaction
-- removes items of the plan that it makes itself.
DO $do$
BEGIN
    EXECUTE format($sql$
CREATE FUNCTION keep_passing(plan uuid) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DELETE FROM %1$I.replay_item AS i
USING %1$I.replay AS r
WHERE i.replay_id = plan AND i.forecast <> 'passes' AND r.replay_id = plan AND r.written_at = now()
$$
    $sql$, current_schema());
END
$do$;
COMMENT ON FUNCTION keep_passing(uuid) IS
    'Leaves out of a plan, in the transaction that makes it, what would not pass.';

CREATE TABLE gate_judge (
    name text PRIMARY KEY,
    judged_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO gate_judge (name) VALUES ('gate');
COMMENT ON TABLE gate_judge IS 'Whose row is locked judges the gate: one worker at a time.';
COMMENT ON COLUMN gate_judge.name IS 'What is judged: gate';
COMMENT ON COLUMN gate_judge.judged_at IS 'When verdicts were last judged';
