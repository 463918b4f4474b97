"""The sender class: how the sender of an event was authenticated."""

from enum import StrEnum
from typing import Final


class Sender(StrEnum):
    """A visitor is anonymous, because a browser's token is public. Its events never use a server's share of a limit."""

    VISITOR = "visitor"
    """A browser, by an ingest token."""
    SERVER = "server"
    """A customer's backend, by an API key."""
    DIRECT = "direct"
    """A Kafka producer, or a record whose gateway headers are not proven."""


_BY_NAME: Final = {one.value: one for one in Sender}


def sender_named(name: str | None) -> Sender | None:
    """Return the class with this name; None if a row older than the classes has none, or if the name is unknown."""
    return _BY_NAME.get(name or "")
