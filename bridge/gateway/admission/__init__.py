"""Admission of requests: API keys, tokens, origins, limits, and each sender's share of memory and processor time."""
