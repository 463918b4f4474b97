-- Returns a line for each role that has CREATE on the current schema, unless it is a superuser or owns the schema, the
-- database or the product's relations. Also returns a line for each function or operator of such a role in the schema
-- whose name is that of one of Postgres' own: a statement may resolve to it, and one for each function of the product
-- that runs with its owner's rights and that every role may execute. This statement uses only names of pg_catalog, so it
-- calls no such function itself.
WITH place AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname OPERATOR(pg_catalog.=) pg_catalog."current_schema"()
), owning AS (
    SELECT nspowner AS oid FROM place
    UNION ALL
    SELECT c.relowner FROM pg_catalog.pg_class AS c JOIN place AS p ON p.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relname OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])
    UNION ALL
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolsuper
    UNION ALL
    SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
), made AS (
    SELECT 'function' AS kind, f.oid::pg_catalog.regprocedure::pg_catalog.text AS name, f.proowner AS owner
    FROM pg_catalog.pg_proc AS f JOIN place AS p ON p.oid OPERATOR(pg_catalog.=) f.pronamespace
    WHERE EXISTS (
        SELECT FROM pg_catalog.pg_proc AS b
        WHERE b.proname OPERATOR(pg_catalog.=) f.proname
          AND b.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid)
    UNION ALL
    SELECT 'operator', o.oid::pg_catalog.regoperator::pg_catalog.text, o.oprowner
    FROM pg_catalog.pg_operator AS o JOIN place AS p ON p.oid OPERATOR(pg_catalog.=) o.oprnamespace
)
SELECT pg_catalog.concat(
           CASE x.grantee WHEN 0 THEN 'every role' ELSE pg_catalog.concat('role ', pg_catalog.pg_get_userbyid(x.grantee)::pg_catalog.text) END,
           ' has CREATE on schema ', p.nspname::pg_catalog.text,
           ': what it makes there can take the place of a function that statements call; as its owner or a superuser: REVOKE CREATE ON SCHEMA ',
           pg_catalog.quote_ident(p.nspname::pg_catalog.text), ' FROM ',
           CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)::pg_catalog.text) END) AS line
FROM place AS p CROSS JOIN LATERAL pg_catalog.aclexplode(p.nspacl) AS x
WHERE x.privilege_type OPERATOR(pg_catalog.=) 'CREATE'
  AND NOT EXISTS (SELECT FROM owning AS o WHERE o.oid OPERATOR(pg_catalog.=) x.grantee)
UNION ALL
SELECT pg_catalog.concat(m.kind, ' ', m.name, ' of role ', pg_catalog.pg_get_userbyid(m.owner)::pg_catalog.text,
                         ' can take the place of one of Postgres in statements: see what it does, and drop it')
FROM made AS m
WHERE NOT EXISTS (SELECT FROM owning AS o WHERE o.oid OPERATOR(pg_catalog.=) m.owner)
UNION ALL
SELECT pg_catalog.concat('every role has EXECUTE on ', f.oid::pg_catalog.regprocedure::pg_catalog.text,
                         ', which runs with its owner''s rights: `bridge db grants` for any account revokes it')
FROM pg_catalog.pg_proc AS f JOIN place AS p ON p.oid OPERATOR(pg_catalog.=) f.pronamespace
WHERE f.prosecdef AND f.prorettype OPERATOR(pg_catalog.<>) 'pg_catalog.trigger'::pg_catalog.regtype::pg_catalog.oid
  AND pg_catalog.concat(f.proname, '()') OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])
  AND EXISTS (
      SELECT FROM pg_catalog.aclexplode(coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))) AS x
      WHERE x.grantee OPERATOR(pg_catalog.=) 0::pg_catalog.oid)
ORDER BY line
