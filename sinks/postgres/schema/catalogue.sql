-- Tables, columns, constraints, indexes, views, functions, triggers and comments of the current schema, one line of
-- text each. Left out are the monthly partitions of tables, and the indexes that Postgres creates for a constraint.
WITH relation AS (
    SELECT c.oid, c.relname, c.relkind
    FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'v', 'm')
), described AS (
    SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind,
           relname::text AS relation, relname::text AS name,
           CASE relkind WHEN 'p' THEN 'partition by ' || lower(pg_get_partkeydef(oid))
                        WHEN 'r' THEN 'ordinary' ELSE pg_get_viewdef(oid) END AS definition
    FROM relation
    UNION ALL
    SELECT 'column', r.relname, r.relname || '.' || a.attname,
           format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
               || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM relation AS r
    JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
    UNION ALL
    SELECT CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key'
                          WHEN 'c' THEN 'check' ELSE 'exclusion' END,
           r.relname, r.relname || '.' || k.conname,
           pg_get_constraintdef(k.oid, true) || CASE WHEN k.convalidated THEN '' ELSE ' not valid' END
    FROM relation AS r
    JOIN pg_constraint AS k ON k.conrelid = r.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x')
    UNION ALL
    SELECT 'index', r.relname, c.relname,
           pg_get_indexdef(i.indexrelid) || CASE WHEN i.indisvalid THEN '' ELSE ' invalid' END
    FROM relation AS r
    JOIN pg_index AS i ON i.indrelid = r.oid
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT 'trigger', r.relname, r.relname || '.' || t.tgname,
           pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' disabled' END
    FROM relation AS r
    JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT 'function', p.proname || '()', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
           'returns ' || pg_get_function_result(p.oid) || ' language ' || l.lanname
               || CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END
               || coalesce(' set ' || array_to_string(p.proconfig, ', set '), '') || ' as ' || p.prosrc
    FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f'
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'comment', r.relname, r.relname || coalesce('.' || a.attname, ''), d.description
    FROM relation AS r
    JOIN pg_description AS d ON d.objoid = r.oid AND d.classoid = 'pg_class'::regclass
    LEFT JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = d.objsubid AND a.attnum > 0
    UNION ALL
    SELECT 'comment', p.proname || '()', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', d.description
    FROM pg_proc AS p
    JOIN pg_description AS d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass
    WHERE p.pronamespace = current_schema()::regnamespace
)
SELECT kind, relation, name, replace(definition, quote_ident(current_schema()) || '.', '') AS definition
FROM described
ORDER BY relation, kind, name
