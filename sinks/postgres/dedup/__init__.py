"""The table of event keys, which detects duplicates."""
