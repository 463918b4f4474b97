"""The raw event in each version, and the bridge event."""
