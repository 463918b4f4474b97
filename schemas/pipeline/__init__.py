"""What stages hand to each other: records, outcomes, the ledger's rows, the breaker's state."""
