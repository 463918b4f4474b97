"""Mutants of commands, API, accounts and the embedded stack."""
