-- The relations of these names, their months, and the functions of the current schema, quoted for statements, with
-- whether the role owns them, and whether a function runs with its owner's rights. Functions of triggers run without a
-- grant.
SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, quote_ident(c.relname) AS name,
       pg_get_userbyid(c.relowner) = $2::text AS owned, false AS definer
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
LEFT JOIN pg_class AS p ON p.oid = i.inhparent
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v')
  AND (c.relname = ANY ($1::text[]) OR p.relname = ANY ($1::text[]))
UNION ALL
SELECT 'FUNCTION', f.oid::regprocedure::text, pg_get_userbyid(f.proowner) = $2::text, f.prosecdef
FROM pg_proc AS f
WHERE f.pronamespace = current_schema()::regnamespace AND f.proname || '()' = ANY ($1::text[])
ORDER BY kind, name
