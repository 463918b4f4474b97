"""The audit's counts in Postgres."""
