"""The ledger: a row for each event that failed at first."""
