"""Output of commands: tables and private files."""
