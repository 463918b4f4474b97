"""Archives of months of events: written to the store, read back, compared with the rows, and restored."""
