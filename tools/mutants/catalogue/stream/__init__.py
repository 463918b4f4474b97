"""Of the worker and its path."""
