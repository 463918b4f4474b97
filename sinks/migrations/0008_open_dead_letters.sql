-- Dead letters that nobody has dealt with are counted every few seconds, whatever else has been dropped.
CREATE INDEX bridge_event_raw_open ON bridge_event_raw (dropped_reason, updated_at) WHERE disposition = 'open';
