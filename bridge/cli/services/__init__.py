"""Commands that run a service: `bridge worker`, `bridge gateway` and `bridge api`."""
