-- Creates one monthly partition of bridge_event. %(name)s and the bounds are computed from the month, and are never
-- user input.
CREATE TABLE IF NOT EXISTS %(name)s PARTITION OF bridge_event FOR VALUES FROM ('%(first)s') TO ('%(after)s')
