"""Backups of the database: the programs of Postgres that write and read them, and the table of backups."""
