-- The wanted privileges on relations or columns that don't exist yet, with those on columns in one line for each
-- relation. A privilege on a table applies to each new column.
SELECT n.relation, n.privilege || coalesce(' (' || string_agg(nullif(n.attribute, ''), ', ' ORDER BY n.attribute) || ')', '') AS privilege
FROM unnest($1::text[], $2::text[], $3::text[]) AS n (relation, privilege, attribute)
WHERE to_regclass(n.relation) IS NULL
   OR n.attribute <> ''
  AND NOT has_table_privilege(to_regclass(n.relation), n.privilege)
  AND NOT EXISTS (
      SELECT FROM pg_attribute AS a
      WHERE a.attrelid = to_regclass(n.relation) AND a.attname = n.attribute AND NOT a.attisdropped)
GROUP BY n.relation, n.privilege
ORDER BY n.relation, n.privilege
