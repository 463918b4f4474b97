-- Databases that an earlier verification of this installation has left behind: their names begin with $1.
SELECT datname::text AS name FROM pg_database
WHERE starts_with(datname, $1::text) AND pg_has_role(datdba, 'USAGE')
ORDER BY 1
