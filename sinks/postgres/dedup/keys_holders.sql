-- Which of these keys are held, and by an event of which sender class; null if a release from before sender classes
-- claimed the key. $1 has the keys, of 16 bytes each, concatenated: one value costs a tenth of an array. Sorted keys are
-- found in one pass over the index.
SELECT event_key, sender FROM bridge_event_key
WHERE event_key = ANY (ARRAY(SELECT substr($1::bytea, at, 16) FROM generate_series(1, length($1::bytea), 16) AS at))
