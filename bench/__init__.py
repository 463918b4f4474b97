"""Benchmarks that run side by side: each figure is a ratio to a peer or to the limit."""
