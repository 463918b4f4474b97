-- The outcomes of the plan $1 by site, with the reason for items that were dropped again or skipped. An unsent item
-- that others have replayed or discarded counts as skipped, because a replay would skip it for this reason. If $2 is an
-- organisation, an item whose site does not belong to it now counts as skipped for the reason $3, whatever became of it.
-- Beyond the $4 most frequent combinations, sites and reasons are left out, since accounts may write any number of them.
SELECT CASE WHEN rank <= $4::int THEN site_id END AS site_id, outcome,
       CASE WHEN rank <= $4::int THEN why WHEN why IS NOT NULL THEN 'other' END AS why, sum(items)::bigint AS items
FROM (
    SELECT site_id, CASE WHEN dealt_with IS NULL THEN outcome ELSE 'skipped' END AS outcome,
           left(coalesce(dealt_with, CASE outcome WHEN 'dropped' THEN dropped_reason WHEN 'skipped' THEN skipped END), 1000) AS why,
           count(*) AS items, row_number() OVER (ORDER BY count(*) DESC) AS rank
    FROM (
        SELECT CASE WHEN n.foreign_site THEN NULL ELSE o.site_id END AS site_id, o.outcome, o.dropped_reason, o.skipped,
               CASE WHEN n.foreign_site THEN $3::text
                    WHEN o.outcome <> 'open' THEN NULL
                    WHEN l.disposition = 'discarded' THEN 'discarded'
                    WHEN l.replay_id = o.replay_id THEN NULL
                    WHEN l.disposition = 'claimed' THEN 'claimed by the replay ' || l.replay_id
                    WHEN l.disposition = 'replayed' THEN 'replayed already, by ' || l.replay_id END AS dealt_with
        FROM replay_outcome AS o
        LEFT JOIN bridge_event_raw AS l USING (raw_topic, raw_partition, raw_offset)
        LEFT JOIN site AS s ON s.site_id = o.site_id
        CROSS JOIN LATERAL (SELECT $2::bigint IS NOT NULL AND s.org_id IS DISTINCT FROM $2::bigint AS foreign_site) AS n
        WHERE o.replay_id = $1
    ) AS item
    GROUP BY 1, 2, 3
) AS counted
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
