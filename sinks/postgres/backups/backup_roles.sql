-- Roles other than their owners that have privileges on the schema, its relations, columns or functions.
SELECT DISTINCT r.rolname::text AS role
FROM (
    SELECT n.nspacl AS acl, n.nspowner AS owner FROM pg_namespace AS n WHERE n.oid = current_schema()::regnamespace
    UNION ALL
    SELECT c.relacl, c.relowner FROM pg_class AS c WHERE c.relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT a.attacl, c.relowner
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = current_schema()::regnamespace AND a.attacl IS NOT NULL
    UNION ALL
    SELECT p.proacl, p.proowner FROM pg_proc AS p WHERE p.pronamespace = current_schema()::regnamespace
) AS granted
CROSS JOIN LATERAL aclexplode(granted.acl) AS x
JOIN pg_roles AS r ON r.oid = x.grantee
WHERE x.grantee NOT IN (0, granted.owner)
ORDER BY 1
