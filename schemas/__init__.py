"""Contracts shared by every package: events, headers, topics, reasons and settings. No I/O."""
