"""The class of a sender: how the sender of an event was authenticated."""

from enum import StrEnum
from typing import Final


class Sender(StrEnum):
    """A visitor is anonymous, since a browser's token is public: its events never take a server's share or place."""

    VISITOR = "visitor"
    """A browser, by an ingest token."""
    SERVER = "server"
    """A customer's backend, by an API key."""
    DIRECT = "direct"
    """A Kafka producer, or a record whose gateway headers are not proven."""


_BY_NAME: Final = {one.value: one for one in Sender}


def sender_named(name: str | None) -> Sender | None:
    """Return the class of a row's text; None if the row is older than the classes, or has another text."""
    return _BY_NAME.get(name or "")
