"""Simulated years of retention."""
