"""Dead letters as the ledger keeps them: found by one filter, read, grouped, exported and disposed of."""
