-- A trigger's function runs with the caller's search_path, and temporary relations come first in every one that does not
-- name pg_temp. An account that makes a temporary table pg_class would decide who owns what is protected.
ALTER FUNCTION keep_history() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION notify_registry() SET search_path = pg_catalog, pg_temp;
