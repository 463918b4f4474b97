-- Postgres compresses the values of a row beyond 2 kB. It takes 1 ms per kB for a value that a sender has made for this, and a hundredth of
-- that to store the value as it is. So no value is compressed, neither a sender's nor an operator's. Rows that are there are not looked at.
-- Each lock is held for a moment.
DO $do$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.oid::regclass AS relation, a.attname
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage = 'x'
        ORDER BY c.relname, a.attnum
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', found.relation, found.attname);
    END LOOP;
END
$do$;
