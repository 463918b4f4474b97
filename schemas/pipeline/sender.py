"""The sender class of an event: how its sender was authenticated."""

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
    """Return the sender class with this name; None for an unknown name, or for an old row that stores no class."""
    return _BY_NAME.get(name or "")
