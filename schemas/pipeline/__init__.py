"""Data that is passed between the stages of the stream: records, outcomes, ledger rows, the circuit breaker's state.

The ledger is the table of events whose first attempt failed.
"""
