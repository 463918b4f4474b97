"""Pure policies: retries, replays, corrections, external dead letters, lag."""
