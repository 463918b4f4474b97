"""Backups: what is written to the store and read from it, and how a backup becomes a database again."""
