"""Identity of stored events: the backfill of rows that older gateways left without one."""
