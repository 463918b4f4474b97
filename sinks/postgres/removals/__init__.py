"""Removal of rows, for each of which a closing entry is written."""
