"""Positions of raw partitions: what was read, skipped and lost."""
