"""Mutants of the worker and the path of a batch."""
