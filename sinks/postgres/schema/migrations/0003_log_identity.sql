-- What a partition's log is known by, so that one that was truncated, made anew or moved is not read on as if it were
-- the same: the cluster, and the last settled record's offset, digest and time (milliseconds since the epoch).
-- `topic` is the log's name: the topic's own for the first, with `#2` and so on for those adopted after it.
-- `held` says why the worker does not read the partition; null while it does.
ALTER TABLE stream_offset
    ADD COLUMN cluster_id text,
    ADD COLUMN last_offset bigint,
    ADD COLUMN last_digest bytea,
    ADD COLUMN last_timestamp bigint,
    ADD COLUMN held text;
