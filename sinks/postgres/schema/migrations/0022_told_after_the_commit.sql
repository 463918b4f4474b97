-- A change of a script, a token or a pause does not fail with Postgres' queue of notifications, which every account may fill: whoever
-- changes the registry tells those who follow it after the commit, and their timers find what they were not told of. Nothing is
-- rewritten; each table is locked for a moment.
DROP TRIGGER IF EXISTS script_changed ON script;
DROP TRIGGER IF EXISTS site_changed ON site;
DROP TRIGGER IF EXISTS script_token_changed ON script_token;
DROP TRIGGER IF EXISTS api_token_changed ON api_token;
DROP TRIGGER IF EXISTS pause_changed ON pause;
DROP FUNCTION IF EXISTS notify_registry();
