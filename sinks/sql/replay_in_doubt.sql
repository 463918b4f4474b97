-- The items that a killed run of the plan $1 had claimed and perhaps sent.
SELECT raw_topic, raw_partition, raw_offset FROM replay_outcome WHERE replay_id = $1 AND outcome = 'in_doubt'
ORDER BY raw_topic, raw_partition, raw_offset
