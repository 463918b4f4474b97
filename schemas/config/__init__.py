"""Settings and their validation."""
