"""Pure functions from a record to its outcome, without broker, database or framework."""
