"""Settings and what they may hold."""
