"""Data passed between stages: records, outcomes, ledger rows, the circuit breaker's state."""
