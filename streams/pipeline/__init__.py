"""Pure functions from a raw record to its outcome (a row, a retry, a drop, or stale), without broker or database."""
