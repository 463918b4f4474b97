"""Kafka's topics, headers with their proof, and dead letters."""
