-- A place is one that Kafka can have and that readers can read: no partition and no offset is negative, and no topic's name is longer than
-- Kafka allows. One row with another place would end the paging of the list that it is on. No release writes such a row. Rows that are there
-- are not looked at, and each lock is held for a moment.
DO $do$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT t.relation, t.topic, string_agg(format('%I >= 0', n.name), ' AND ' ORDER BY n.place) AS numbers
        FROM (VALUES
            ('bridge_event_raw', 'raw_topic', 'raw_partition, raw_offset'),
            ('bridge_event_superseded', 'raw_topic', 'raw_partition, raw_offset'),
            ('gate_window', 'topic', 'partition'),
            ('replay_item', 'raw_topic', 'raw_partition, raw_offset'),
            ('stream_offset', 'topic', 'partition, base_offset, next_offset')
        ) AS t (relation, topic, attributes)
        CROSS JOIN LATERAL string_to_table(t.attributes, ', ') WITH ORDINALITY AS n (name, place)
        GROUP BY t.relation, t.topic
        ORDER BY t.relation
    LOOP
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%s AND octet_length(split_part(%I, %L, 1)) <= 249) NOT VALID',
                       one.relation, one.relation || '_in_kafka', one.numbers, one.topic, '#');
    END LOOP;
END
$do$;
