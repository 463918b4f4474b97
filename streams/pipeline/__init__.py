"""From a record to its outcome: pure functions, without broker, database or framework."""
