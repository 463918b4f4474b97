"""Replay plans."""
