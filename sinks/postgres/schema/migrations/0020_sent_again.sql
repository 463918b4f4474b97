-- Dead letters that are closed because their producers have sent their events again, and drops by the site that they name.
-- Nothing is rewritten. The release before writes and reads the table as before.
ALTER TABLE bridge_event_raw ADD COLUMN sent_again boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN bridge_event_raw.sent_again IS
    'Whether the dead letter is discarded because its event was persisted meanwhile: its producer had sent it again';

-- As discard_dead_letters, which the release before calls, for the same accounts; the ledger is named as it is there.
DO $do$
BEGIN
    EXECUTE format($sql$
CREATE FUNCTION discard_sent_again(topics text[], partitions int[], offsets bigint[], run text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
SELECT pg_advisory_xact_lock_shared(1651665262, 1);
WITH done AS (
    UPDATE %I.bridge_event_raw AS l
    SET disposition = 'discarded', discarded_by = run, sent_again = true, updated_at = now()
    FROM unnest(topics, partitions, offsets) AS n (raw_topic, raw_partition, raw_offset)
    WHERE l.raw_topic = n.raw_topic AND l.raw_partition = n.raw_partition AND l.raw_offset = n.raw_offset
      AND l.disposition = 'open'
    RETURNING 1
)
SELECT count(*) FROM done
$$
    $sql$, current_schema());
END
$do$;
COMMENT ON FUNCTION discard_sent_again(text[], int[], bigint[], text) IS
    'Discards open dead letters whose producers have sent their events again, by the run; returns how many.';
REVOKE EXECUTE ON FUNCTION discard_sent_again(text[], int[], bigint[], text) FROM PUBLIC;
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT x.grantee::regrole AS grantee
        FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS x
        WHERE p.oid = 'discard_dead_letters(text[], int[], bigint[], text)'::regprocedure AND x.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION discard_sent_again(text[], int[], bigint[], text) TO %s', one.grantee);
    END LOOP;
END
$do$;

-- By the site that the dead letter names, registered or not; the gate's windows count for registered sites only.
CREATE OR REPLACE FUNCTION drop_reasons(since timestamptz, until timestamptz)
RETURNS TABLE (day date, site_id bigint, dropped_reason text, dropped numeric)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (d.dropped_at AT TIME ZONE 'UTC')::date, coalesce(d.site_id, 0), d.dropped_reason, count(*)::numeric
    FROM bridge_dead_letter AS d
    WHERE d.dropped_at >= since AND d.dropped_at < until AND NOT d.is_replay
    GROUP BY 1, 2, 3
$$;
COMMENT ON COLUMN drop_reasons_30d.site_id IS 'The site that the event names, registered or not; 0 where none can be read';
