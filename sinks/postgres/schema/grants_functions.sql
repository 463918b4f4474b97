-- Postgres' functions of these names that the current role may grant to others.
SELECT p.proname::text AS name, p.oid::regprocedure::text AS signature
FROM pg_proc AS p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($1::text[])
  AND has_function_privilege(p.oid, 'EXECUTE WITH GRANT OPTION')
ORDER BY signature
