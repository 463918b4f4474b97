"""The class of a sender: how whoever sent an event was authenticated."""

from enum import StrEnum


class Sender(StrEnum):
    """Visitors are anybody: a browser's token is public. What they send never takes a server's share or place."""

    VISITOR = "visitor"
    """A browser, by an ingest token."""
    SERVER = "server"
    """A customer's backend, by an API key."""
    DIRECT = "direct"
    """A Kafka producer, or a record whose gateway headers are not proven."""
