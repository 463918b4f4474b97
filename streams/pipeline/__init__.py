"""Pure functions from a raw record to its outcome (a row, a retry or a drop), without broker, database or framework."""
