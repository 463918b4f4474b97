"""Reasons for not reading a partition, their owner, and what the circuit breaker and replaced logs need besides."""
