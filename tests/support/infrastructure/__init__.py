"""Servers that tests run on, or that stand between."""
