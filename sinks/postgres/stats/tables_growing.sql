-- The sizes in bytes, with indexes, of the tables $1 that exist.
SELECT n.name, pg_total_relation_size(to_regclass(n.name)) AS bytes FROM unnest($1::text[]) AS n (name) WHERE to_regclass(n.name) IS NOT NULL
