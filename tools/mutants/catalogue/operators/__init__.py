"""Of commands, API, accounts and the embedded stack."""
