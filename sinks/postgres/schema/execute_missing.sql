-- The functions of these names or signatures that the current role may not execute, and whether it may use the schema.
SELECT 'EXECUTE on ' || p.oid::regprocedure AS missing
FROM pg_proc AS p
WHERE (p.proname = ANY ($1::text[]) OR p.oid::regprocedure::text = ANY ($1::text[]))
  AND p.pronamespace IN ('pg_catalog'::regnamespace, current_schema()::regnamespace)
  AND NOT has_function_privilege(p.oid, 'EXECUTE')
UNION ALL
SELECT 'USAGE on schema ' || current_schema() WHERE NOT has_schema_privilege(current_schema(), 'USAGE')
ORDER BY missing
