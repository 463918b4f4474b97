"""Plans of retention, and how far each of their steps has come."""
