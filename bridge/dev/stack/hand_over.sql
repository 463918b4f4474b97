-- Transfers the superuser's objects in this database to the role named by a session setting, as far as a role without
-- superuser rights can own them. Earlier releases migrated as the superuser. REASSIGN OWNED refuses the role that
-- initdb creates, so each object is transferred by name. A second run finds nothing left.
DO $$
DECLARE
    heir CONSTANT text := current_setting('ghostlink.heir');
    statement text;
BEGIN
    FOR statement IN
        WITH space AS (
            SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ), extended AS (
            SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
        )
        SELECT format('ALTER SCHEMA %I OWNER TO %I', n.nspname, heir)
        FROM pg_namespace AS n
        WHERE n.nspowner = 10 AND n.oid IN (SELECT oid FROM space)
          AND NOT EXISTS (SELECT FROM extended WHERE classid = 'pg_namespace'::regclass AND objid = n.oid)
        UNION ALL
        SELECT format('ALTER %s %s OWNER TO %I',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                     WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
                      c.oid::regclass, heir)
        FROM pg_class AS c
        WHERE c.relowner = 10 AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
          AND c.relnamespace IN (SELECT oid FROM space)
          AND NOT EXISTS (SELECT FROM extended WHERE classid = 'pg_class'::regclass AND objid = c.oid)
          -- A column's own sequence is transferred with its table.
          AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                          AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, heir)
        FROM pg_proc AS p
        WHERE p.proowner = 10 AND p.pronamespace IN (SELECT oid FROM space)
          AND NOT EXISTS (SELECT FROM extended WHERE classid = 'pg_proc'::regclass AND objid = p.oid)
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, heir)
        FROM pg_type AS t
        WHERE t.typowner = 10 AND t.typtype IN ('d', 'e', 'r') AND t.typnamespace IN (SELECT oid FROM space)
          AND NOT EXISTS (SELECT FROM extended WHERE classid = 'pg_type'::regclass AND objid = t.oid)
        UNION ALL
        SELECT format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, s.stxname, heir)
        FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace
        WHERE s.stxowner = 10 AND s.stxnamespace IN (SELECT oid FROM space)
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$
