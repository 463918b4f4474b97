-- Keyed deduplication from the raw topic into the table: the first copy wins.
SET 'table.dml-sync' = 'true';
SET 'parallelism.default' = '2';
SET 'execution.checkpointing.interval' = '5s';
SET 'execution.checkpointing.dir' = '{checkpoints}';
SET 'pipeline.object-reuse' = 'true';

CREATE TABLE raw_event (
  site_id BIGINT,
  event_id STRING,
  script_id STRING,
  event_type STRING,
  occurred_at STRING,
  sent_at STRING,
  session_id STRING,
  visitor_id STRING,
  url STRING,
  referrer STRING,
  user_agent STRING,
  `value` DECIMAL(21, 6),
  currency STRING,
  -- An object is read as its text.
  properties STRING,
  -- Of version 2.
  page ROW<url STRING, referrer STRING>,
  amount DECIMAL(21, 6),
  seen_at AS PROCTIME()
) WITH (
  'connector' = 'kafka',
  'topic' = '{topic}',
  'properties.bootstrap.servers' = '{kafka}',
  'properties.group.id' = '{group}',
  'properties.max.poll.records' = '5000',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json',
  'json.ignore-parse-errors' = 'true'
);

CREATE TABLE peer_event (
  site_id BIGINT,
  event_id STRING,
  script_id STRING,
  event_type STRING,
  occurred_at STRING,
  sent_at STRING,
  session_id STRING,
  visitor_id STRING,
  url STRING,
  referrer STRING,
  user_agent STRING,
  `value` DECIMAL(21, 6),
  currency STRING,
  properties STRING,
  PRIMARY KEY (site_id, event_id) NOT ENFORCED
) WITH (
  'connector' = 'jdbc',
  'url' = '{jdbc_url}',
  'table-name' = 'peer_event',
  'username' = '{user}',
  'password' = '{password}',
  'sink.buffer-flush.max-rows' = '3000',
  'sink.buffer-flush.interval' = '500ms'
);

INSERT INTO peer_event
SELECT site_id, event_id, script_id, event_type, occurred_at, sent_at, session_id, visitor_id, COALESCE(url, page.url),
       COALESCE(referrer, page.referrer), user_agent, COALESCE(`value`, amount), currency, properties
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY site_id, event_id ORDER BY seen_at) AS copy
  FROM raw_event
  WHERE site_id IS NOT NULL AND event_id IS NOT NULL
)
WHERE copy = 1;
