"""Dead letters in the ledger: found by one filter, read, grouped, exported and discarded."""
