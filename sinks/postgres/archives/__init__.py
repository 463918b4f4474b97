"""Archives in Postgres: the rows of a month of one snapshot, their digests, and the rows that are brought back."""
