"""Dead letters (dropped events) in the ledger: selected by a filter, read, grouped, exported and discarded."""
