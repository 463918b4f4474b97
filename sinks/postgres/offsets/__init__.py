"""The stored offsets of raw partitions, and the numbers of records that were read, skipped and lost."""
