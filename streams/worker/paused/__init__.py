"""Reasons for not reading a partition: the circuit breaker, an operator's pause, a replaced log."""
