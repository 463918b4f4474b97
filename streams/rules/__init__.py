"""Rules as pure functions: retries, replays, corrections, the circuit breaker, the gate, the audit, lag."""
