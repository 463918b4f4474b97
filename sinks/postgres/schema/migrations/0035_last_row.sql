-- Visitors' failures count in the circuit breaker only while no event becomes a row, in any worker of the group.
ALTER TABLE stream_offset ADD COLUMN persisted_at timestamptz;
COMMENT ON COLUMN stream_offset.persisted_at IS 'When events of the partition last became rows; null if none has since the upgrade';
