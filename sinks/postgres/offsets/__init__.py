"""Positions of raw partitions, and the counts of what was read, skipped and lost."""
