-- A row that an account of a service writes can be dumped and restored, and added up. jsonb of some hundred kilobytes may have a text
-- longer than Postgres can print, or be nested deeper than it can parse. Small documents are not looked at: their text has at most some
-- 30 MB. Rows that are there are not looked at, and each lock is held for a moment.
CREATE FUNCTION is_restorable(document jsonb) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS
$$SELECT pg_column_size(document) <= 2000 OR (octet_length(document::text) <= 4000000 AND document::text::jsonb IS NOT NULL)$$;
COMMENT ON FUNCTION is_restorable(jsonb) IS 'Whether the text of the document is short enough to be printed, and can be parsed again.';
ALTER TABLE bridge_event ADD CONSTRAINT bridge_event_documents CHECK (
    is_restorable(properties) AND is_restorable(original)
) NOT VALID;

CREATE FUNCTION window_count(total numeric) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$SELECT greatest(least(total, 1000000000000), -1000000000000)::bigint$$;
COMMENT ON FUNCTION window_count(numeric) IS 'The count, or the nearest one that a window may have.';
