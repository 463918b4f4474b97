-- The functions among $1 that the current role may execute and does not need, in one line, or no row. The functions in
-- $1 use resources that all sessions share. $2 has the names or signatures that the role needs. A superuser may execute
-- all of them. A second line has the product's functions among $3 that run with their owner's rights, and that are not
-- among the needed $4.
SELECT format('has EXECUTE on %s, which it does not need; if every role has it: run deploy/postgres/accounts.sql as a superuser',
              string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text)) AS line
FROM pg_proc AS p
WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY ($1::text[]) AND p.proname <> ALL ($2::text[])
  AND p.oid::regprocedure::text <> ALL ($2::text[])
  AND has_function_privilege(p.oid, 'EXECUTE')
  AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND rolsuper)
HAVING count(*) > 0
UNION ALL
SELECT format('has EXECUTE on %s, which it does not need; `bridge db grants` revokes it',
              string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text))
FROM pg_proc AS p
WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = ANY ($3::text[]) AND p.proname <> ALL ($4::text[])
  AND p.prosecdef AND p.prorettype <> 'trigger'::regtype AND NOT pg_has_role(p.proowner, 'USAGE')
  AND has_function_privilege(p.oid, 'EXECUTE')
HAVING count(*) > 0
