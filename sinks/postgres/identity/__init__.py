"""Whose stored events are: the backfill of what older gateways left without an identity."""
