"""The circuit breaker's state, which all workers share."""
