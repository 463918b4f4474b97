"""What the audit counts in Postgres."""
