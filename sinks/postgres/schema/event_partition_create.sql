-- One month of bridge_event, made ahead of need. %(name)s and the bounds are the month's own, never a user's text.
CREATE TABLE IF NOT EXISTS %(name)s PARTITION OF bridge_event FOR VALUES FROM ('%(first)s') TO ('%(after)s')
