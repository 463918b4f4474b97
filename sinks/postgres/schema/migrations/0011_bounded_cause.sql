-- A cause costs the same whatever the message holds. Each match of the pattern takes a microsecond of its own, and a
-- kilobyte of quotes has 512 of them, so the first 256 characters decide; a quoted value that is cut there is closed.
-- The messages of this product's own code, and of Postgres before its DETAIL, are shorter: their causes stay what they
-- are. A longer one holds a name of the sender's choice. It begins a new cause beside that of the rows stored before,
-- whose generated column keeps its value until the table is restored from a dump. Workers of the release before call the
-- same function, so that old and new ones agree. No row and no index is written by this.
CREATE OR REPLACE FUNCTION normalized_message(message text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(
        -- What Postgres adds of a row it refuses is that row. A longer message ends with a quote that closes what is open.
        -- By strict functions only, or the function would not be inlined.
        left(split_part(message, E'\nDETAIL:', 1), 256)
            || substr('''', 1, length(split_part(message, E'\nDETAIL:', 1)) / 257),
        -- In quotes; hexadecimal; whatever begins with a digit, such as numbers, times and ids; a name's number. Without
        -- captures it takes half the time, and it is asked of every drop.
        '''[^'']*'''
        '|\m[0-9a-f]{8}[0-9a-f-]*'
        '|\m[0-9][0-9A-Za-z]*(?:-[0-9A-Za-z]+|[.,:+][0-9][0-9A-Za-z]*)*'
        '|_[0-9]+',
        '…', 'g'
    )
$$;
