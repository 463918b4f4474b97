"""`bridge script`: scripts, their keys, and their history."""
