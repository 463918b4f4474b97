"""The circuit breaker's state, shared by all workers."""
