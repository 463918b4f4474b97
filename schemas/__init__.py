"""Contracts that every package shares: events, headers, topics, reasons and settings. No module here does I/O."""
