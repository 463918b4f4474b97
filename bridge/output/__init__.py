"""What commands write: tables and private files."""
