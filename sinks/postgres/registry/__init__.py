"""Organisations, sites and scripts, their pauses, and the history of their changes."""
