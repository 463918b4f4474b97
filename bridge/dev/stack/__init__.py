"""A real Kafka and a real Postgres on this machine, without Docker, in one directory."""

from bridge.dev.stack.stack import Stack, StackAddresses

__all__ = ["Stack", "StackAddresses"]
