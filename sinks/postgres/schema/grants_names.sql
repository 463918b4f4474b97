-- The role, the database and the schema as statements name them.
SELECT quote_ident($1::text) AS role, quote_ident(current_database()) AS database, quote_ident(current_schema()) AS schema
