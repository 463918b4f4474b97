-- The columns of the events in their order, also those that an administrator has added.
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable
FROM pg_attribute AS a
WHERE a.attrelid = 'bridge_event'::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
