-- What the current role may do beyond the wanted privileges on the product's relations: a line of text for each thing. A
-- superuser or owner may do everything, so of these nothing else is listed.
WITH me AS (
    SELECT oid, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user
), ours AS (
    -- A month's partition takes what is granted on it, beside what is granted on its parent.
    SELECT c.oid, c.relname::text AS relation, pg_has_role(c.relowner, 'USAGE') AS owned
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
      AND (c.relname = ANY ($1::text[]) OR i.inhparent = ANY (
          SELECT p.oid FROM pg_class AS p WHERE p.relname = ANY ($1::text[]) AND p.relnamespace = c.relnamespace))
), found AS (
    SELECT 1 AS rank, 'is a superuser' AS line FROM me WHERE rolsuper
    UNION ALL
    SELECT 2, format('owns %s and %s more relations', min(relation), count(*) - 1) FROM ours WHERE owned HAVING count(*) > 0
    UNION ALL
    SELECT 3, format('has the attribute %s', a.name)
    FROM me, LATERAL (VALUES ('BYPASSRLS', rolbypassrls), ('CREATEROLE', rolcreaterole), ('CREATEDB', rolcreatedb),
                             ('REPLICATION', rolreplication)) AS a (name, given)
    WHERE a.given
    UNION ALL
    SELECT 4, format('may become the role %s', r.rolname)
    FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid JOIN me ON me.oid = m.member
    UNION ALL
    SELECT 5, format('has CREATE on schema %s', current_schema()) WHERE has_schema_privilege(current_schema(), 'CREATE')
    UNION ALL
    SELECT 6, format('has %s on %s, which it does not need', string_agg(p.privilege, ', ' ORDER BY p.privilege), o.relation)
    FROM ours AS o
    CROSS JOIN unnest(ARRAY['DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'TRIGGER', 'TRUNCATE', 'UPDATE']) AS p (privilege)
    WHERE NOT o.owned
      AND NOT EXISTS (
          SELECT FROM unnest($2::text[], $3::text[]) AS n (relation, privilege)
          WHERE n.relation = o.relation AND n.privilege = p.privilege)
      AND CASE WHEN p.privilege IN ('INSERT', 'REFERENCES', 'SELECT', 'UPDATE')
               THEN has_any_column_privilege(o.oid, p.privilege) ELSE has_table_privilege(o.oid, p.privilege) END
    GROUP BY o.relation
)
SELECT line FROM found
WHERE rank = 1 OR NOT EXISTS (SELECT FROM me WHERE rolsuper)
ORDER BY rank, line
