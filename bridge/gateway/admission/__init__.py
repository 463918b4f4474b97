"""Admission of requests: API keys, tokens, origins, limits, shares, and turns at the event loop's time."""
