"""Archives of events: the mapping of rows to Parquet files and back, and the digests that prove it."""
