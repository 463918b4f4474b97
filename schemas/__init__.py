"""Contracts shared by every package: what events, headers, topics, reasons and settings look like. No I/O."""
