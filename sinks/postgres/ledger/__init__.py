"""The ledger: the table with one row for each event whose first attempt failed."""
