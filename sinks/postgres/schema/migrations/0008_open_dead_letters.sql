-- Dead letters that nobody has dealt with are counted every few seconds, whatever else has been dropped.
CREATE INDEX bridge_event_raw_open ON bridge_event_raw (dropped_reason, outcome_at) WHERE disposition = 'open';
