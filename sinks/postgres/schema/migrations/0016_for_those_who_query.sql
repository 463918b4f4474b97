-- For those who query: what every table, view and column means, the usual questions, and dead letters without what was sent.
-- Nothing is rewritten, and no lock of this stops a worker.

-- The functions take a range of occurred_at and read the months of received_at that can hold it. By default occurred_at lies
-- between 8 days before received_at (168h of age by the producer's clock, which is corrected by at most 24h) and one hour after
-- it. Postgres inlines each into the query that calls it, so none is STRICT or has settings of its own.
CREATE FUNCTION conversions_by_campaign(
    since timestamptz, until timestamptz, event_types text[] DEFAULT '{purchase}',
    late interval DEFAULT '8 days', ahead interval DEFAULT '1 hour'
) RETURNS TABLE (
    day date, site_id bigint, utm_source text, utm_medium text, utm_campaign text, event_type text, currency text,
    conversions bigint, value numeric
) LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (e.occurred_at AT TIME ZONE 'UTC')::date, e.site_id, e.utm_source, e.utm_medium, e.utm_campaign, e.event_type,
           e.currency, count(*), sum(e.value)
    FROM bridge_event_counted AS e
    WHERE e.occurred_at >= since AND e.occurred_at < until
      AND e.received_at >= since - ahead AND e.received_at < until + late
      AND e.event_type = ANY (event_types)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
$$;

CREATE FUNCTION top_pages(
    since timestamptz, until timestamptz, late interval DEFAULT '8 days', ahead interval DEFAULT '1 hour'
) RETURNS TABLE (site_id bigint, url_host text, url_path text, views bigint, visitors bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT e.site_id, e.url_host, e.url_path, count(*), count(DISTINCT e.visitor_id)
    FROM bridge_event_counted AS e
    WHERE e.occurred_at >= since AND e.occurred_at < until
      AND e.received_at >= since - ahead AND e.received_at < until + late
      AND e.event_type = 'page_view'
    GROUP BY 1, 2, 3
$$;

CREATE FUNCTION events_per_hour(
    since timestamptz, until timestamptz, late interval DEFAULT '8 days', ahead interval DEFAULT '1 hour'
) RETURNS TABLE (hour timestamptz, site_id bigint, event_type text, events bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT date_trunc('hour', e.occurred_at, 'UTC'), e.site_id, e.event_type, count(*)
    FROM bridge_event_counted AS e
    WHERE e.occurred_at >= since AND e.occurred_at < until
      AND e.received_at >= since - ahead AND e.received_at < until + late
    GROUP BY 1, 2, 3
$$;

CREATE FUNCTION drop_reasons(since timestamptz, until timestamptz)
RETURNS TABLE (day date, site_id bigint, dropped_reason text, dropped numeric)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (w.window_start AT TIME ZONE 'UTC')::date, w.site_id, r.dropped_reason, sum(r.dropped)
    FROM gate_window AS w
    CROSS JOIN LATERAL (VALUES
        ('invalid_payload_json', w.dropped_invalid_payload_json),
        ('schema_violation', w.dropped_schema_violation),
        ('duplicate_event_id', w.dropped_duplicate_event_id),
        ('sink_rejected_row', w.dropped_sink_rejected_row),
        ('retry_exhausted', w.dropped_retry_exhausted)
    ) AS r (dropped_reason, dropped)
    WHERE w.window_start >= since AND w.window_start < until AND NOT w.replay AND r.dropped > 0
    GROUP BY 1, 2, 3
$$;

-- The same for tools that show views only.
CREATE VIEW conversions_by_campaign_30d AS
SELECT day, site_id, utm_source, utm_medium, utm_campaign, event_type, currency, conversions, value
FROM conversions_by_campaign(now() - interval '30 days', now());

CREATE VIEW top_pages_30d AS
SELECT site_id, url_host, url_path, views, visitors FROM top_pages(now() - interval '30 days', now());

CREATE VIEW events_per_hour_30d AS
SELECT hour, site_id, event_type, events FROM events_per_hour(now() - interval '30 days', now());

CREATE VIEW drop_reasons_30d AS
SELECT day, site_id, dropped_reason, dropped FROM drop_reasons(now() - interval '30 days', now());

CREATE VIEW bridge_dead_letter AS
SELECT l.raw_topic, l.raw_partition, l.raw_offset, l.site_id, l.script_id, l.event_id, l.sender, l.received_at,
       l.outcome_at AS dropped_at, l.dropped_reason, l.error_class, normalized_message(l.last_error) AS message,
       l.retry_count, l.disposition, l.replay_of IS NOT NULL AS is_replay
FROM bridge_event_raw AS l
WHERE l.dropped_reason IS NOT NULL;


COMMENT ON TABLE bridge_event IS
    'Events, one row each, append-only, partitioned by the month of received_at in UTC. Queries name a range of received_at, so that only its months are read. bridge_event_counted leaves out those that another event counts instead of.';
COMMENT ON COLUMN bridge_event.received_at IS 'When the raw event was received: the time of the gateway, or of the Kafka record. Decides the partition';
COMMENT ON COLUMN bridge_event.occurred_at IS 'When it happened, by the producer''s clock, corrected by sent_at where that shows a wrong clock. From 8 days before received_at to 1 hour after it, unless settings change that';
COMMENT ON COLUMN bridge_event.sent_at IS 'When the producer sent it, by its clock; null if it did not say';
COMMENT ON COLUMN bridge_event.site_id IS 'The site';
COMMENT ON COLUMN bridge_event.org_id IS 'The site''s organisation when the event was normalised; null for a site without one';
COMMENT ON COLUMN bridge_event.script_id IS 'The script that sent it';
COMMENT ON COLUMN bridge_event.event_id IS 'The producer''s id of the event, unique by site and sender class';
COMMENT ON COLUMN bridge_event.event_type IS 'What happened: lower case with underscores; usual aliases are stored under one name, see original';
COMMENT ON COLUMN bridge_event.session_id IS 'The producer''s id of the session';
COMMENT ON COLUMN bridge_event.visitor_id IS 'The producer''s id of the visitor';
COMMENT ON COLUMN bridge_event.url IS 'The page: an absolute URL without its fragment, or the text that was sent';
COMMENT ON COLUMN bridge_event.url_host IS 'Host of an absolute url, in lower case';
COMMENT ON COLUMN bridge_event.url_path IS 'Path of an absolute url';
COMMENT ON COLUMN bridge_event.utm_source IS 'Query parameter utm_source of the url';
COMMENT ON COLUMN bridge_event.utm_medium IS 'Query parameter utm_medium of the url';
COMMENT ON COLUMN bridge_event.utm_campaign IS 'Query parameter utm_campaign of the url';
COMMENT ON COLUMN bridge_event.utm_term IS 'Query parameter utm_term of the url';
COMMENT ON COLUMN bridge_event.utm_content IS 'Query parameter utm_content of the url';
COMMENT ON COLUMN bridge_event.referrer IS 'The page before, as it was sent';
COMMENT ON COLUMN bridge_event.referrer_host IS 'Host of an absolute referrer';
COMMENT ON COLUMN bridge_event.user_agent IS 'The browser''s or client''s name of itself, as it was sent';
COMMENT ON COLUMN bridge_event.value IS 'Amount, exact, with six decimals, in the unit of currency';
COMMENT ON COLUMN bridge_event.currency IS 'Code of ISO 4217 in upper case; null if none was sent';
COMMENT ON COLUMN bridge_event.properties IS 'Everything else that was sent: an object; fields that the contract does not name are under _extra';
COMMENT ON COLUMN bridge_event.schema_version IS 'Version of the raw event''s contract';
COMMENT ON COLUMN bridge_event.raw_topic IS 'Provenance: the raw topic, with #2 and so on for the logs adopted after its first';
COMMENT ON COLUMN bridge_event.raw_partition IS 'Provenance: the partition';
COMMENT ON COLUMN bridge_event.raw_offset IS 'Provenance: the offset';
COMMENT ON COLUMN bridge_event.attempt IS 'Which attempt succeeded; 1 is the first';
COMMENT ON COLUMN bridge_event.normalized_at IS 'When the row was written';
COMMENT ON COLUMN bridge_event.sender IS 'Sender class, by authentication: visitor (a browser''s token), server (an API key) or direct (a Kafka producer). Null in rows of releases before 0010';
COMMENT ON COLUMN bridge_event.original IS 'What was sent as event_type, occurred_at and value, of those that normalising changed; null where it changed none';

COMMENT ON TABLE bridge_event_key IS
    'The authority on duplicates: the digest of each event''s identity, once.';
COMMENT ON COLUMN bridge_event_key.event_key IS 'Digest of site, event id and, unless the script shares its ids, sender class';
COMMENT ON COLUMN bridge_event_key.received_at IS 'Not before received_at of the event that claimed the key';
COMMENT ON COLUMN bridge_event_key.sender IS 'Sender class of the event that claimed the key; null if claimed before there were classes';

COMMENT ON TABLE bridge_event_raw IS
    'The ledger: one row for each raw event that did not normalise at the first attempt, dead letters among them. Events that did are in bridge_event only, unless a replay sent them.';
COMMENT ON COLUMN bridge_event_raw.raw_topic IS 'Provenance of the raw event: the raw topic, with #2 and so on for the logs adopted after its first';
COMMENT ON COLUMN bridge_event_raw.raw_partition IS 'Provenance: the partition';
COMMENT ON COLUMN bridge_event_raw.raw_offset IS 'Provenance: the offset';
COMMENT ON COLUMN bridge_event_raw.site_id IS 'The site, from the gateway''s proof or the payload; null where neither can be read';
COMMENT ON COLUMN bridge_event_raw.script_id IS 'The script, likewise';
COMMENT ON COLUMN bridge_event_raw.event_id IS 'The producer''s id of the event; null where the payload can''t be read';
COMMENT ON COLUMN bridge_event_raw.record_key IS 'Key of the Kafka record; personal data may be in it';
COMMENT ON COLUMN bridge_event_raw.payload IS 'Value of the Kafka record, byte for byte; personal data may be in it';
COMMENT ON COLUMN bridge_event_raw.headers IS 'Headers of the Kafka record, encoded; personal data may be in them';
COMMENT ON COLUMN bridge_event_raw.record_time IS 'Time of the Kafka record';
COMMENT ON COLUMN bridge_event_raw.received_at IS 'When the raw event was received; kept through retries and replays';
COMMENT ON COLUMN bridge_event_raw.retry_count IS 'How many attempts ended in a retry';
COMMENT ON COLUMN bridge_event_raw.next_retry_at IS 'When the next attempt is due; null once the event is settled';
COMMENT ON COLUMN bridge_event_raw.first_failed_at IS 'When the first attempt failed';
COMMENT ON COLUMN bridge_event_raw.last_error IS 'Message of the last failure; may quote the payload';
COMMENT ON COLUMN bridge_event_raw.error_class IS 'Class of the last failure, one of docs/errors.md';
COMMENT ON COLUMN bridge_event_raw.normalized IS 'Settled: no further attempt follows. It is true for events that are in bridge_event AND for dropped ones. In bridge_event: normalized AND dropped_reason IS NULL. Dropped: dropped_reason IS NOT NULL. Waiting for a retry: NOT normalized';
COMMENT ON COLUMN bridge_event_raw.dropped_reason IS 'Why the event was dropped for good; null if it was not';
COMMENT ON COLUMN bridge_event_raw.disposition IS 'What was done with the dead letter: open, claimed (by a replay), replayed or discarded; null if there is none';
COMMENT ON COLUMN bridge_event_raw.replay_id IS 'The plan that has claimed the dead letter';
COMMENT ON COLUMN bridge_event_raw.replayed_as IS 'Provenance, topic:partition:offset, of the record that the replay sent';
COMMENT ON COLUMN bridge_event_raw.replay_of IS 'Provenance, topic:partition:offset, of the dead letter that this event is a replay of';
COMMENT ON COLUMN bridge_event_raw.created_at IS 'When the row was written';
COMMENT ON COLUMN bridge_event_raw.updated_at IS 'When the row was last changed';
COMMENT ON COLUMN bridge_event_raw.outcome_at IS 'When the last attempt was settled; of a dead letter, when it was dropped';
COMMENT ON COLUMN bridge_event_raw.cause IS 'Key of dead letters with one reason, error class and normalised message; generated';
COMMENT ON COLUMN bridge_event_raw.event_hash IS 'Hash of event_id, by which dead letters are found; generated';
COMMENT ON COLUMN bridge_event_raw.discarded_by IS 'Who discarded the dead letter';
COMMENT ON COLUMN bridge_event_raw.sender IS 'Sender class: visitor, server or direct; null where it is not known';
COMMENT ON COLUMN bridge_event_raw.replay_digest IS 'Digest of the record that a replay sends for the dead letter';

COMMENT ON TABLE bridge_event_superseded IS
    'A visitor''s events that a server''s event of the same site and id counts instead of. The events stay in bridge_event.';
COMMENT ON COLUMN bridge_event_superseded.site_id IS 'The site';
COMMENT ON COLUMN bridge_event_superseded.event_id IS 'The id of both events';
COMMENT ON COLUMN bridge_event_superseded.raw_topic IS 'Provenance of the event that counts: the raw topic';
COMMENT ON COLUMN bridge_event_superseded.raw_partition IS 'Provenance of the event that counts: the partition';
COMMENT ON COLUMN bridge_event_superseded.raw_offset IS 'Provenance of the event that counts: the offset';
COMMENT ON COLUMN bridge_event_superseded.superseded_at IS 'When the event that counts was written';

COMMENT ON TABLE org IS
    'Organisations: the owners of sites.';
COMMENT ON COLUMN org.org_id IS 'Key';
COMMENT ON COLUMN org.created_at IS 'When it was added';

COMMENT ON TABLE site IS
    'Sites.';
COMMENT ON COLUMN site.site_id IS 'Key';
COMMENT ON COLUMN site.org_id IS 'The organisation that the site belongs to; null if none';
COMMENT ON COLUMN site.created_at IS 'When it was added';

COMMENT ON TABLE script IS
    'Scripts: what may send events, each for one site.';
COMMENT ON COLUMN script.script_id IS 'Key, as producers state it';
COMMENT ON COLUMN script.site_id IS 'The site that its events belong to';
COMMENT ON COLUMN script.enabled IS 'Whether its events are taken';
COMMENT ON COLUMN script.origins IS 'Origins of web pages that may send with its browser token';
COMMENT ON COLUMN script.created_at IS 'When it was added';
COMMENT ON COLUMN script.updated_at IS 'When it was last changed';
COMMENT ON COLUMN script.shared_ids IS 'Whether an event id is one event whoever sends it, so that a server''s event counts instead of a visitor''s';

COMMENT ON TABLE script_token IS
    'API keys of server producers.';
COMMENT ON COLUMN script_token.key_id IS 'Key; the part of the API key that is no secret';
COMMENT ON COLUMN script_token.script_id IS 'The script that it sends for';
COMMENT ON COLUMN script_token.digest IS 'SHA-256 of the secret; the secret itself is stored nowhere';
COMMENT ON COLUMN script_token.note IS 'What the operator noted of it';
COMMENT ON COLUMN script_token.created_at IS 'When it was made';
COMMENT ON COLUMN script_token.created_by IS 'Who made it';
COMMENT ON COLUMN script_token.revoked_at IS 'When it was revoked; null while it is good';
COMMENT ON COLUMN script_token.revoked_by IS 'Who revoked it';

COMMENT ON TABLE api_token IS
    'Tokens of the operators'' HTTP API.';
COMMENT ON COLUMN api_token.key_id IS 'Key; the part of the token that is no secret';
COMMENT ON COLUMN api_token.name IS 'Name in the history of runs, never given twice';
COMMENT ON COLUMN api_token.digest IS 'SHA-256 of the secret; the secret itself is stored nowhere';
COMMENT ON COLUMN api_token.role IS 'What it may do: viewer, operator or admin';
COMMENT ON COLUMN api_token.org_id IS 'The organisation that it is good for; null is all';
COMMENT ON COLUMN api_token.created_at IS 'When it was made';
COMMENT ON COLUMN api_token.created_by IS 'Who made it';
COMMENT ON COLUMN api_token.expires_at IS 'When it ends; null is never';
COMMENT ON COLUMN api_token.last_used_at IS 'When it was last used, to the minute or so';
COMMENT ON COLUMN api_token.revoked_at IS 'When it was revoked; null while it is good';
COMMENT ON COLUMN api_token.revoked_by IS 'Who revoked it';

COMMENT ON TABLE gate_window IS
    'Outcomes of attempts per minute, site and partition. processed = normalized + retried + dropped.';
COMMENT ON COLUMN gate_window.window_start IS 'Begin of the minute in which the attempts were settled';
COMMENT ON COLUMN gate_window.site_id IS 'The site; 0 where none can be read';
COMMENT ON COLUMN gate_window.topic IS 'Topic of the record that carried the attempt';
COMMENT ON COLUMN gate_window.partition IS 'Its partition';
COMMENT ON COLUMN gate_window.replay IS 'Whether the attempts were of replays; most figures leave these out';
COMMENT ON COLUMN gate_window.processed IS 'Attempts that had an outcome, the retried ones too: an event counts once for each attempt';
COMMENT ON COLUMN gate_window.normalized IS 'Attempts whose event was written to bridge_event';
COMMENT ON COLUMN gate_window.retried IS 'Attempts that another one follows';
COMMENT ON COLUMN gate_window.dropped IS 'Attempts whose event was dropped';
COMMENT ON COLUMN gate_window.dropped_invalid_payload_json IS 'Of the dropped: payloads that can''t be read as JSON';
COMMENT ON COLUMN gate_window.dropped_schema_violation IS 'Of the dropped: events that break the contract';
COMMENT ON COLUMN gate_window.dropped_duplicate_event_id IS 'Of the dropped: duplicates of an event that is stored';
COMMENT ON COLUMN gate_window.dropped_sink_rejected_row IS 'Of the dropped: rows that Postgres refused';
COMMENT ON COLUMN gate_window.dropped_retry_exhausted IS 'Of the dropped: events whose retries came to their end';

COMMENT ON TABLE gate_state IS
    'The gate''s current verdict on each target.';
COMMENT ON COLUMN gate_state.target IS 'total, or site:<site_id>';
COMMENT ON COLUMN gate_state.passed IS 'The verdict';
COMMENT ON COLUMN gate_state.change_id IS 'Id of the last change of the verdict';
COMMENT ON COLUMN gate_state.changed_at IS 'When the verdict last changed';
COMMENT ON COLUMN gate_state.change IS 'The change as it is published, with the figures that it was judged by';
COMMENT ON COLUMN gate_state.published IS 'Whether the change was published to the gate''s topic and webhook';

COMMENT ON TABLE stream_offset IS
    'What each consumer group has read of each partition, with running totals. next_offset - base_offset = live + stale + skipped + lost.';
COMMENT ON COLUMN stream_offset.group_id IS 'Consumer group';
COMMENT ON COLUMN stream_offset.topic IS 'Log: the topic, with #2 and so on for the logs adopted after its first';
COMMENT ON COLUMN stream_offset.partition IS 'Partition';
COMMENT ON COLUMN stream_offset.base_offset IS 'Where the counting began';
COMMENT ON COLUMN stream_offset.next_offset IS 'The position: the offset after the last committed record';
COMMENT ON COLUMN stream_offset.live IS 'Attempts that had an outcome';
COMMENT ON COLUMN stream_offset.normalized IS 'Of these, events written to bridge_event';
COMMENT ON COLUMN stream_offset.retried IS 'Of these, attempts that another one follows';
COMMENT ON COLUMN stream_offset.dropped IS 'Of these, events that were dropped';
COMMENT ON COLUMN stream_offset.stale IS 'Records that were settled before, such as a retry''s second copy';
COMMENT ON COLUMN stream_offset.skipped IS 'Records that were passed: by an operator, or because no record is at their offset';
COMMENT ON COLUMN stream_offset.lost IS 'Offsets that the topic''s retention removed before they were read';
COMMENT ON COLUMN stream_offset.lost_acknowledged IS 'How many of the lost an operator has acknowledged';
COMMENT ON COLUMN stream_offset.worker IS 'The worker that has claimed the partition';
COMMENT ON COLUMN stream_offset.epoch IS 'Counts claims: a worker with an older one can''t commit';
COMMENT ON COLUMN stream_offset.updated_at IS 'When the row was last changed';
COMMENT ON COLUMN stream_offset.cluster_id IS 'Kafka cluster of the log';
COMMENT ON COLUMN stream_offset.last_offset IS 'Offset of the last committed record that the log is known by';
COMMENT ON COLUMN stream_offset.last_digest IS 'Digest of that record';
COMMENT ON COLUMN stream_offset.last_timestamp IS 'Time of that record, milliseconds since the epoch';
COMMENT ON COLUMN stream_offset.held IS 'Why the partition is not read; null while it is';

COMMENT ON TABLE brake IS
    'The circuit breaker on dead-lettering of each consumer group.';
COMMENT ON COLUMN brake.group_id IS 'Consumer group';
COMMENT ON COLUMN brake.engaged IS 'Whether events that would be dropped are kept back';
COMMENT ON COLUMN brake.by_hand IS 'Whether an operator engaged it';
COMMENT ON COLUMN brake.changed_at IS 'When it was last changed';
COMMENT ON COLUMN brake.changed_by IS 'The worker or operator that changed it';
COMMENT ON COLUMN brake.reason IS 'Why';
COMMENT ON COLUMN brake.details IS 'The figures that it was judged by';
COMMENT ON COLUMN brake.probed_at IS 'When a probe last looked whether it can be released';
COMMENT ON COLUMN brake.released_until IS 'Until when an operator has released it';

COMMENT ON TABLE replay IS
    'Plans of replays: which dead letters are sent again, with which corrections.';
COMMENT ON COLUMN replay.replay_id IS 'Key';
COMMENT ON COLUMN replay.requested_by IS 'Who made the plan';
COMMENT ON COLUMN replay.filter IS 'Which dead letters were meant';
COMMENT ON COLUMN replay.planned IS 'How many dead letters the plan contains';
COMMENT ON COLUMN replay.published IS 'How many were sent';
COMMENT ON COLUMN replay.state IS 'planned, running, stopped, cancelled or sent';
COMMENT ON COLUMN replay.created_at IS 'When it was made';
COMMENT ON COLUMN replay.updated_at IS 'When it was last changed';
COMMENT ON COLUMN replay.reason IS 'Why, in the operator''s words';
COMMENT ON COLUMN replay.corrections IS 'What is applied to each payload';
COMMENT ON COLUMN replay.report IS 'What the dry run found when the plan was made';
COMMENT ON COLUMN replay.sent_to IS 'Position up to which items were sent, settled or passed over';
COMMENT ON COLUMN replay.ended_by IS 'Who ended it';
COMMENT ON COLUMN replay.ended_because IS 'Why it ended';
COMMENT ON COLUMN replay.org_id IS 'The organisation that it was made for; null is all';

COMMENT ON TABLE replay_item IS
    'The dead letters of each plan, in the order in which they are sent.';
COMMENT ON COLUMN replay_item.replay_id IS 'The plan';
COMMENT ON COLUMN replay_item.position IS 'Place in the plan, from 1';
COMMENT ON COLUMN replay_item.raw_topic IS 'Provenance of the dead letter: the raw topic';
COMMENT ON COLUMN replay_item.raw_partition IS 'Provenance of the dead letter: the partition';
COMMENT ON COLUMN replay_item.raw_offset IS 'Provenance of the dead letter: the offset';
COMMENT ON COLUMN replay_item.forecast IS 'What the dry run expected of it';
COMMENT ON COLUMN replay_item.skipped IS 'Why it was passed over; null if it was not';
COMMENT ON COLUMN replay_item.replayed_as IS 'Provenance, topic:partition:offset, of what was sent, once another plan has claimed the dead letter';

COMMENT ON TABLE script_run IS
    'History of the operators'' commands and jobs, append-only.';
COMMENT ON COLUMN script_run.run_id IS 'Key';
COMMENT ON COLUMN script_run.script IS 'The command';
COMMENT ON COLUMN script_run.started_by IS 'Who started it: account and host, or token';
COMMENT ON COLUMN script_run.started_at IS 'When it began';
COMMENT ON COLUMN script_run.ended_at IS 'When it ended; null while it runs, and for one that was killed';
COMMENT ON COLUMN script_run.exit_code IS '0 all done, 1 failed, 2 partly done, 3 bad input or environment';
COMMENT ON COLUMN script_run.summary IS 'What it did';

COMMENT ON TABLE pause IS
    'What operators have paused.';
COMMENT ON COLUMN pause.kind IS 'partition, script, site or org';
COMMENT ON COLUMN pause.target IS 'topic:partition, a script_id, or the id of a site or organisation';
COMMENT ON COLUMN pause.paused_at IS 'Since when';
COMMENT ON COLUMN pause.paused_by IS 'Who paused it';
COMMENT ON COLUMN pause.reason IS 'Why';

COMMENT ON TABLE gateway_trust IS
    'Until when gateway headers without a proof are believed; one row.';
COMMENT ON COLUMN gateway_trust.singleton IS 'Always true';
COMMENT ON COLUMN gateway_trust.legacy_until IS 'Until when; in the past: never';
COMMENT ON COLUMN gateway_trust.changed_by IS 'Who or what set it';

COMMENT ON TABLE schema_migration IS
    'The migrations that were applied.';
COMMENT ON COLUMN schema_migration.version IS 'Number of the file';
COMMENT ON COLUMN schema_migration.name IS 'Name of the file';
COMMENT ON COLUMN schema_migration.checksum IS 'SHA-256 of its text';
COMMENT ON COLUMN schema_migration.applied_at IS 'When it was applied';

COMMENT ON VIEW bridge_event_counted IS
    'Events that count: bridge_event without a visitor''s events that a server''s counts instead of. The view for figures.';

COMMENT ON VIEW gate_window_5m IS
    'gate_window per site and five minutes, without replays.';
COMMENT ON COLUMN gate_window_5m.window_start IS 'Begin of the five minutes, in UTC';
COMMENT ON COLUMN gate_window_5m.site_id IS 'The site; 0 where none can be read';
COMMENT ON COLUMN gate_window_5m.processed IS 'Attempts that had an outcome, the retried ones too';
COMMENT ON COLUMN gate_window_5m.normalized IS 'Attempts whose event was written to bridge_event';
COMMENT ON COLUMN gate_window_5m.retried IS 'Attempts that another one follows';
COMMENT ON COLUMN gate_window_5m.dropped IS 'Attempts whose event was dropped, duplicates included';
COMMENT ON COLUMN gate_window_5m.duplicates IS 'Of the dropped, duplicates of an event that is stored';

COMMENT ON VIEW gate_window_30m IS
    'gate_window per site and half hour, without replays.';
COMMENT ON COLUMN gate_window_30m.window_start IS 'Begin of the half hour, in UTC';
COMMENT ON COLUMN gate_window_30m.site_id IS 'The site; 0 where none can be read';
COMMENT ON COLUMN gate_window_30m.processed IS 'Attempts that had an outcome, the retried ones too';
COMMENT ON COLUMN gate_window_30m.normalized IS 'Attempts whose event was written to bridge_event';
COMMENT ON COLUMN gate_window_30m.retried IS 'Attempts that another one follows';
COMMENT ON COLUMN gate_window_30m.dropped IS 'Attempts whose event was dropped, duplicates included';
COMMENT ON COLUMN gate_window_30m.duplicates IS 'Of the dropped, duplicates of an event that is stored';

COMMENT ON VIEW gate_window_1d IS
    'gate_window per site and day, without replays.';
COMMENT ON COLUMN gate_window_1d.window_start IS 'Begin of the day, in UTC';
COMMENT ON COLUMN gate_window_1d.site_id IS 'The site; 0 where none can be read';
COMMENT ON COLUMN gate_window_1d.processed IS 'Attempts that had an outcome, the retried ones too';
COMMENT ON COLUMN gate_window_1d.normalized IS 'Attempts whose event was written to bridge_event';
COMMENT ON COLUMN gate_window_1d.retried IS 'Attempts that another one follows';
COMMENT ON COLUMN gate_window_1d.dropped IS 'Attempts whose event was dropped, duplicates included';
COMMENT ON COLUMN gate_window_1d.duplicates IS 'Of the dropped, duplicates of an event that is stored';

COMMENT ON VIEW gate_verdict IS
    'Figures of the last 30 minutes that the gate judges, without replays: a row for each site and one for all.';
COMMENT ON COLUMN gate_verdict.site_id IS 'The site; 0 where none can be read; null is all sites together';
COMMENT ON COLUMN gate_verdict.processed IS 'Attempts that had an outcome, the retried ones too';
COMMENT ON COLUMN gate_verdict.normalized IS 'Attempts whose event was written to bridge_event';
COMMENT ON COLUMN gate_verdict.retried IS 'Attempts that another one follows';
COMMENT ON COLUMN gate_verdict.dropped IS 'Attempts whose event was dropped, duplicates included';
COMMENT ON COLUMN gate_verdict.duplicates IS 'Of the dropped, duplicates of an event that is stored';
COMMENT ON COLUMN gate_verdict.retry_ratio_pct IS 'Retried of the processed, percent';
COMMENT ON COLUMN gate_verdict.drop_ratio_pct IS 'Dropped, without duplicates, of the processed, percent';

COMMENT ON VIEW kpi_7d IS
    'Figures of the last 7 days by site, without replays.';
COMMENT ON COLUMN kpi_7d.site_id IS 'The site; 0 where none can be read';
COMMENT ON COLUMN kpi_7d.finished IS 'Attempts that no other follows: events that were normalised or dropped';
COMMENT ON COLUMN kpi_7d.normalized IS 'Events written to bridge_event';
COMMENT ON COLUMN kpi_7d.dropped IS 'Events that were dropped, duplicates included';
COMMENT ON COLUMN kpi_7d.duplicates IS 'Of the dropped, duplicates of an event that is stored';
COMMENT ON COLUMN kpi_7d.success_rate_pct IS 'Normalised of the finished without duplicates, percent; null without any';

COMMENT ON VIEW replay_outcome IS
    'What became of each item of a plan.';
COMMENT ON COLUMN replay_outcome.replay_id IS 'The plan';
COMMENT ON COLUMN replay_outcome.position IS 'Place in the plan';
COMMENT ON COLUMN replay_outcome.raw_topic IS 'Provenance of the dead letter: the raw topic';
COMMENT ON COLUMN replay_outcome.raw_partition IS 'Provenance of the dead letter: the partition';
COMMENT ON COLUMN replay_outcome.raw_offset IS 'Provenance of the dead letter: the offset';
COMMENT ON COLUMN replay_outcome.forecast IS 'What the dry run expected of it';
COMMENT ON COLUMN replay_outcome.site_id IS 'The site';
COMMENT ON COLUMN replay_outcome.skipped IS 'Why it was passed over; null if it was not';
COMMENT ON COLUMN replay_outcome.replayed_as IS 'Provenance, topic:partition:offset, of the record that was sent';
COMMENT ON COLUMN replay_outcome.dropped_reason IS 'Why the replayed event was dropped; null if it was not';
COMMENT ON COLUMN replay_outcome.error_class IS 'Class of its last failure';
COMMENT ON COLUMN replay_outcome.last_error IS 'Message of its last failure; may quote the payload';
COMMENT ON COLUMN replay_outcome.outcome IS 'persisted, duplicate, dropped, waiting (for a retry), open (not sent yet), skipped, unsettled (sent, no outcome yet) or in_doubt (sending was interrupted)';

COMMENT ON VIEW bridge_dead_letter IS
    'Dead letters without what was sent: no payload, key or headers, and messages without the values that they quote.';
COMMENT ON COLUMN bridge_dead_letter.raw_topic IS 'Provenance of the raw event: the raw topic';
COMMENT ON COLUMN bridge_dead_letter.raw_partition IS 'Provenance: the partition';
COMMENT ON COLUMN bridge_dead_letter.raw_offset IS 'Provenance: the offset';
COMMENT ON COLUMN bridge_dead_letter.site_id IS 'The site; null where none can be read';
COMMENT ON COLUMN bridge_dead_letter.script_id IS 'The script; null where none can be read';
COMMENT ON COLUMN bridge_dead_letter.event_id IS 'The producer''s id of the event; null where the payload can''t be read';
COMMENT ON COLUMN bridge_dead_letter.sender IS 'Sender class: visitor, server or direct; null where it is not known';
COMMENT ON COLUMN bridge_dead_letter.received_at IS 'When the raw event was received';
COMMENT ON COLUMN bridge_dead_letter.dropped_at IS 'When it was dropped';
COMMENT ON COLUMN bridge_dead_letter.dropped_reason IS 'Why it was dropped';
COMMENT ON COLUMN bridge_dead_letter.error_class IS 'Class of the last failure, one of docs/errors.md';
COMMENT ON COLUMN bridge_dead_letter.message IS 'Message of the last failure, with its numbers, ids and quoted values left out';
COMMENT ON COLUMN bridge_dead_letter.retry_count IS 'How many attempts ended in a retry';
COMMENT ON COLUMN bridge_dead_letter.disposition IS 'What was done with it: open, claimed (by a replay), replayed or discarded; null for a duplicate, which nobody deals with';
COMMENT ON COLUMN bridge_dead_letter.is_replay IS 'Whether it is a replay of another dead letter';

COMMENT ON VIEW conversions_by_campaign_30d IS
    'Purchases of the last 30 days by day and campaign: conversions_by_campaign().';
COMMENT ON COLUMN conversions_by_campaign_30d.day IS 'Day of occurred_at, in UTC';
COMMENT ON COLUMN conversions_by_campaign_30d.site_id IS 'The site';
COMMENT ON COLUMN conversions_by_campaign_30d.utm_source IS 'Source of the campaign; null without one';
COMMENT ON COLUMN conversions_by_campaign_30d.utm_medium IS 'Medium of the campaign; null without one';
COMMENT ON COLUMN conversions_by_campaign_30d.utm_campaign IS 'The campaign; null for events without one';
COMMENT ON COLUMN conversions_by_campaign_30d.event_type IS 'The conversion';
COMMENT ON COLUMN conversions_by_campaign_30d.currency IS 'Currency of the amount; null without one';
COMMENT ON COLUMN conversions_by_campaign_30d.conversions IS 'How many events';
COMMENT ON COLUMN conversions_by_campaign_30d.value IS 'Sum of their amounts in that currency; null without any';

COMMENT ON VIEW top_pages_30d IS
    'Page views of the last 30 days by page: top_pages().';
COMMENT ON COLUMN top_pages_30d.site_id IS 'The site';
COMMENT ON COLUMN top_pages_30d.url_host IS 'Host of the page';
COMMENT ON COLUMN top_pages_30d.url_path IS 'Path of the page';
COMMENT ON COLUMN top_pages_30d.views IS 'How many page views';
COMMENT ON COLUMN top_pages_30d.visitors IS 'How many visitor_ids they have; page views without one are not counted';

COMMENT ON VIEW events_per_hour_30d IS
    'Events of the last 30 days by hour, site and type: events_per_hour().';
COMMENT ON COLUMN events_per_hour_30d.hour IS 'Begin of the hour of occurred_at';
COMMENT ON COLUMN events_per_hour_30d.site_id IS 'The site';
COMMENT ON COLUMN events_per_hour_30d.event_type IS 'What happened';
COMMENT ON COLUMN events_per_hour_30d.events IS 'How many events';

COMMENT ON VIEW drop_reasons_30d IS
    'Dropped events of the last 30 days by day and reason: drop_reasons().';
COMMENT ON COLUMN drop_reasons_30d.day IS 'Day on which they were dropped, in UTC';
COMMENT ON COLUMN drop_reasons_30d.site_id IS 'The site; 0 where none can be read';
COMMENT ON COLUMN drop_reasons_30d.dropped_reason IS 'Why they were dropped';
COMMENT ON COLUMN drop_reasons_30d.dropped IS 'How many events; replays are not counted';

COMMENT ON FUNCTION notify_registry() IS
    'Trigger: tells workers and gateways that the registry has changed.';
COMMENT ON FUNCTION keep_history() IS
    'Trigger: refuses to all but the owner what history keeps.';
COMMENT ON FUNCTION normalized_message(text) IS
    'A message without numbers, ids and quoted values, by which dead letters are grouped.';
COMMENT ON FUNCTION conversions_by_campaign(timestamptz, timestamptz, text[], interval, interval) IS
    'Events of these types that occurred from since to before until, by day and campaign. Reads the months of received_at from since - ahead to until + late.';
COMMENT ON FUNCTION top_pages(timestamptz, timestamptz, interval, interval) IS
    'Page views that occurred from since to before until, by page. Reads the months of received_at from since - ahead to until + late.';
COMMENT ON FUNCTION events_per_hour(timestamptz, timestamptz, interval, interval) IS
    'Events that occurred from since to before until, by hour, site and type. Reads the months of received_at from since - ahead to until + late.';
COMMENT ON FUNCTION drop_reasons(timestamptz, timestamptz) IS
    'Events that were dropped from since to before until, by day, site and reason, without replays.';

-- The columns of this view are those of the table.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT a.attname, d.description
        FROM pg_attribute AS a
        JOIN pg_description AS d ON d.objoid = a.attrelid AND d.objsubid = a.attnum AND d.classoid = 'pg_class'::regclass
        JOIN pg_attribute AS v ON v.attrelid = 'bridge_event_counted'::regclass AND v.attname = a.attname
        WHERE a.attrelid = 'bridge_event'::regclass AND a.attnum > 0
    LOOP
        EXECUTE format('COMMENT ON COLUMN bridge_event_counted.%I IS %L', one.attname, one.description);
    END LOOP;
END
$$;
