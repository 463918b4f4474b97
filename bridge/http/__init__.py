"""Shared parts of the HTTP services: listening, refusals, limits, request ids, metrics and documentation pages."""
