-- Which of the wanted privileges the current role lacks on tables and views that exist.
SELECT n.relation, n.privilege
FROM unnest($1::text[], $2::text[]) AS n (relation, privilege)
WHERE to_regclass(n.relation) IS NOT NULL
  AND NOT has_table_privilege(to_regclass(n.relation), n.privilege)
ORDER BY n.relation, n.privilege
