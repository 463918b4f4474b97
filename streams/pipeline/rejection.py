"""The rejection of an event by decoder or normaliser, with the part of its identity that could be read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from schemas.reasons import ErrorClass

# An error with its additions must fit the ledger: `schemas.kafka.headers.ERROR_TEXT_BYTES`.
_MOST_CHARACTERS = 640
_LONGEST = 200


class Identity(Protocol):
    """The readable identity of an event, and the fields that the normaliser checks; None where one is unsound."""

    event_id: str | None
    site_id: int | None
    script_id: str | None

    @property
    def occurred_at(self) -> datetime | int | None: ...
    @property
    def sent_at(self) -> datetime | int | None: ...
    @property
    def currency(self) -> str | None: ...


class Rejection(Exception):
    """One attempt failed because of the event: the error class, and the field and rule in words.

    `violations` are the contract's violations in words; empty if the normaliser raised it.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        identity: Identity | None = None,
        violations: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.identity = identity
        self.violations = violations


def violated(violations: Sequence[str], identity: Identity | None) -> Rejection:
    """Return the rejection of an event with these violations; its message lists as many as fit."""
    bounded = [text if len(text) <= _LONGEST else _cut(text) for text in violations]
    message, *rest = bounded
    while rest and len(message) + len(rest[0]) <= _MOST_CHARACTERS:
        message = f"{message}; {rest.pop(0)}"
    if rest:
        message = f"{message}; and {len(rest)} more"
    return Rejection(ErrorClass.SCHEMA_VIOLATION, message, identity, bounded)


def _cut(text: str) -> str:
    """Cut a text and close an open quote: readers see only what is outside of quotes."""
    beginning = text[: _LONGEST - 1]
    return f"{beginning}…" + "".join(mark for mark in "'\"" if beginning.count(mark) % 2)
