-- The role, the database and the schema, quoted for statements.
SELECT quote_ident($1::text) AS role, quote_ident(current_database()) AS database, quote_ident(current_schema()) AS schema
