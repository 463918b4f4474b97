"""Mutants of gateway, snippet and clients."""
