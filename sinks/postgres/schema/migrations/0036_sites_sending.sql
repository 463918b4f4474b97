-- Before the circuit breaker trips for one organisation, a worker asks whether another's events pass. It may not read events.
-- Each site is looked up in the index of each month, so that the time does not depend on the number of rows. The planner
-- must not turn this into a join, which reads the day.
DO $do$
BEGIN
    EXECUTE format($sql$
CREATE FUNCTION sites_sending() RETURNS TABLE (site_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
WITH sending AS NOT MATERIALIZED (
    SELECT s.site_id, s.org_id
    FROM %1$I.site AS s CROSS JOIN LATERAL (
        SELECT FROM %1$I.bridge_event AS e
        WHERE e.site_id = s.site_id AND e.received_at > now() - interval '1 day'
          AND e.received_at < now() + interval '1 day'
        ORDER BY e.received_at DESC LIMIT 1) AS latest
), one AS MATERIALIZED (
    SELECT site_id, org_id FROM sending LIMIT 1
), another AS MATERIALIZED (
    SELECT s.site_id
    FROM one CROSS JOIN sending AS s
    WHERE s.site_id <> one.site_id AND (s.org_id = one.org_id) IS NOT TRUE LIMIT 1
)
SELECT site_id FROM one UNION ALL SELECT site_id FROM another
$$
    $sql$, current_schema());
END
$do$;
COMMENT ON FUNCTION sites_sending() IS
    'Up to two sites of different owners with rows that were received within a day. A site without an organisation is its own owner.';
-- It is for workers alone, also before `bridge db grants` is run again.
REVOKE EXECUTE ON FUNCTION sites_sending() FROM PUBLIC;
DO $do$
DECLARE
    worker regrole;
BEGIN
    FOR worker IN
        SELECT x.grantee::regrole
        FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS x
        WHERE p.oid = 'end_blocking_sessions(int, double precision)'::regprocedure AND x.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION sites_sending() TO %s', worker);
    END LOOP;
END
$do$;
