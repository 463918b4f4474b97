-- Visitors' failures count in the circuit breaker only while no event becomes a row, in any worker of the group.
ALTER TABLE stream_offset ADD COLUMN persisted_at timestamptz;
-- A time that no client reads would stop each reader. Rows that are there are not looked at.
ALTER TABLE stream_offset DROP CONSTRAINT stream_offset_times;
ALTER TABLE stream_offset ADD CONSTRAINT stream_offset_times CHECK (
    updated_at >= '0001-01-01 00:00:00+00' AND updated_at <= '9999-12-31 23:59:59.999999+00'
    AND persisted_at >= '0001-01-01 00:00:00+00' AND persisted_at <= '9999-12-31 23:59:59.999999+00'
) NOT VALID;
COMMENT ON COLUMN stream_offset.persisted_at IS 'When events of the partition last became rows; null if none has since the upgrade';
