"""The raw event of each version, and the bridge event that it becomes."""
