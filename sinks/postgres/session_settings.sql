-- Session settings with which Postgres renders the same texts, regardless of the settings of server, database and role.
-- They are set by a statement, because a pooler may refuse them as startup parameters.
SET datestyle TO 'ISO, MDY';
SET intervalstyle TO 'postgres';
SET timezone TO 'UTC';
SET extra_float_digits TO 1;
SET bytea_output TO 'hex';
SET quote_all_identifiers TO off;
SET standard_conforming_strings TO on;
SET transform_null_equals TO off;
SET lc_numeric TO 'C';
SET lc_monetary TO 'C';
SET lc_time TO 'C';
-- Names resolve to the schema of the session, and the session's own temporary relations can't hide them.
SELECT pg_catalog.set_config(
    'search_path', coalesce(pg_catalog.quote_ident(current_schema) OPERATOR(pg_catalog.||) ', ', '') OPERATOR(pg_catalog.||) 'pg_temp', false)
