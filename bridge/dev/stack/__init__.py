"""A real Kafka and a real Postgres on this machine, without Docker, in one directory."""

from bridge.dev.stack.stack import Stack, StackAddresses, StackStatus

__all__ = ["Stack", "StackAddresses", "StackStatus"]
