"""Why a partition is not read: the circuit breaker, an operator's pause, a replaced log."""
