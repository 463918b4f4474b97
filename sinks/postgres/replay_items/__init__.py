"""The items of replay plans."""
