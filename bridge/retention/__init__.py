"""Retention: plans of what is removed, and the jobs that make and apply them."""
