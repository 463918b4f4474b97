-- The wanted privileges that the current role lacks on existing tables and views, with those on columns in one line for
-- each relation. A privilege on a table applies to each of its columns.
SELECT n.relation, n.privilege || coalesce(' (' || string_agg(a.attname, ', ' ORDER BY a.attname) || ')', '') AS privilege
FROM unnest($1::text[], $2::text[], $3::text[]) AS n (relation, privilege, attribute)
LEFT JOIN pg_attribute AS a ON a.attrelid = to_regclass(n.relation) AND a.attname = n.attribute AND NOT a.attisdropped
WHERE to_regclass(n.relation) IS NOT NULL
  AND CASE WHEN n.attribute = '' THEN NOT has_table_privilege(to_regclass(n.relation), n.privilege)
           ELSE NOT has_column_privilege(a.attrelid, a.attnum, n.privilege) END
GROUP BY n.relation, n.privilege
ORDER BY n.relation, n.privilege
