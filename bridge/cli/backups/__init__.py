"""Commands of backups and of the restore."""
