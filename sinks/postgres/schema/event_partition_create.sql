-- One month of bridge_event, created ahead of need. %(name)s and the bounds are the month's own, never user input.
CREATE TABLE IF NOT EXISTS %(name)s PARTITION OF bridge_event FOR VALUES FROM ('%(first)s') TO ('%(after)s')
