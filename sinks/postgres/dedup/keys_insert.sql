-- Inserts keys that no event held a moment before; fails if another transaction has inserted one of them meanwhile.
-- $1 has the keys, of 16 bytes each, unique, in order and concatenated. $2 is a time not before any of their events. $3
-- has a byte for each key, the index of its sender class in $4, or a single byte if all have one class.
INSERT INTO bridge_event_key (event_key, received_at, sender)
SELECT substr($1::bytea, 16 * at + 1, 16), $2::timestamptz, ($4::text[])[get_byte($3::bytea, at % length($3::bytea)) + 1]
FROM generate_series(0, length($1::bytea) / 16 - 1) AS at
