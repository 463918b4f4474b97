-- The applied migrations, in order.
SELECT name, checksum, applied_at FROM schema_migration ORDER BY version
