-- Those of the roles $1 that this server lacks.
SELECT wanted.role FROM unnest($1::text[]) AS wanted (role) WHERE to_regrole(quote_ident(wanted.role)) IS NULL ORDER BY 1
