-- The tables of the schema that have rows of their own, by name; without partitioned tables, whose partitions have the rows.
SELECT c.relname::text AS name
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relpersistence <> 't'
ORDER BY 1
