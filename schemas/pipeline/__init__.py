"""Data that is passed between stages: records, outcomes, ledger rows, the circuit breaker's state."""
