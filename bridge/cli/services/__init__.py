"""`bridge worker`, `bridge gateway` and `bridge api`."""
