"""Rules as pure functions: retries, replays, corrections, the circuit breaker, the quality gate, the audit, lag."""
