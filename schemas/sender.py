"""The class of a sender: how the sender of an event was authenticated."""

from enum import StrEnum


class Sender(StrEnum):
    """A visitor is anonymous, since a browser's token is public: its events never take a server's share or place."""

    VISITOR = "visitor"
    """A browser, by an ingest token."""
    SERVER = "server"
    """A customer's backend, by an API key."""
    DIRECT = "direct"
    """A Kafka producer, or a record whose gateway headers are not proven."""
