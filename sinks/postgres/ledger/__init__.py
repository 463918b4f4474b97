"""The ledger: a row for each event whose first attempt failed."""
