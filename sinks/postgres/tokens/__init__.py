"""API tokens and ingest keys."""
