-- Privileges of the current role on the product's relations that are not wanted, a line of text for each. A superuser
-- or owner may do everything, so nothing else is listed for them.
WITH me AS (
    SELECT oid, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = current_user
), wanted AS (
    SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) AS n (relation, privilege, attribute)
), ours AS (
    -- A monthly partition has grants of its own, besides those of its parent.
    SELECT c.oid, c.relname::text AS relation, pg_has_role(c.relowner, 'USAGE') AS owned
    FROM pg_class AS c
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
      AND (c.relname = ANY ($1::text[]) OR i.inhparent = ANY (
          SELECT p.oid FROM pg_class AS p WHERE p.relname = ANY ($1::text[]) AND p.relnamespace = c.relnamespace))
), known AS (
    -- Postgres 17 and newer have MAINTAIN, which permits a lock of the whole table. Older versions refuse the name.
    SELECT unnest(ARRAY['DELETE', 'INSERT', 'REFERENCES', 'SELECT', 'TRIGGER', 'TRUNCATE', 'UPDATE']
                  || CASE WHEN current_setting('server_version_num')::int >= 170000 THEN ARRAY['MAINTAIN'] END) AS privilege
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
    SELECT 6, format('has CREATE on database %s', current_database())
    WHERE has_database_privilege(current_database(), 'CREATE')
    UNION ALL
    SELECT 7, format('has TEMPORARY on database %1$s; if every role has it: REVOKE TEMPORARY ON DATABASE %1$I FROM PUBLIC',
                     current_database())
    WHERE has_database_privilege(current_database(), 'TEMPORARY')
    UNION ALL
    SELECT 8, format('has %s on %s, which it does not need', string_agg(h.what, ', ' ORDER BY h.what), h.relation)
    FROM (
        SELECT o.relation, p.privilege || CASE WHEN n.partly THEN ' of every column' ELSE '' END AS what
        FROM ours AS o
        CROSS JOIN known AS p
        LEFT JOIN (
            SELECT relation, privilege, bool_and(attribute <> '') AS partly FROM wanted GROUP BY relation, privilege
        ) AS n USING (relation, privilege)
        WHERE NOT o.owned AND n.partly IS NOT FALSE AND has_table_privilege(o.oid, p.privilege)
        UNION ALL
        SELECT o.relation, format('%s (%s)', p.privilege, string_agg(a.attname, ', ' ORDER BY a.attname))
        FROM ours AS o
        CROSS JOIN unnest(ARRAY['INSERT', 'REFERENCES', 'SELECT', 'UPDATE']) AS p (privilege)
        JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE NOT o.owned AND NOT has_table_privilege(o.oid, p.privilege)
          AND has_column_privilege(o.oid, a.attnum, p.privilege)
          AND NOT EXISTS (
              SELECT FROM wanted AS n
              WHERE n.relation = o.relation AND n.privilege = p.privilege AND n.attribute IN ('', a.attname))
        GROUP BY o.relation, p.privilege
    ) AS h
    GROUP BY h.relation
    UNION ALL
    SELECT 9, format('may grant %s on %s to others', string_agg(p.privilege, ', ' ORDER BY p.privilege), o.relation)
    FROM ours AS o
    CROSS JOIN known AS p
    WHERE NOT o.owned
      AND CASE WHEN p.privilege IN ('INSERT', 'REFERENCES', 'SELECT', 'UPDATE')
               THEN has_any_column_privilege(o.oid, p.privilege || ' WITH GRANT OPTION')
               ELSE has_table_privilege(o.oid, p.privilege || ' WITH GRANT OPTION') END
    GROUP BY o.relation
)
SELECT line FROM found
WHERE rank = 1 OR NOT EXISTS (SELECT FROM me WHERE rolsuper)
ORDER BY rank, line
