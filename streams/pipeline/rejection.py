"""How decoding and normalising say that an event cannot pass, and what could still be read of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from schemas.reasons import ErrorClass

# With what is added to it an error must fit the ledger: `schemas.kafka.headers.ERROR_TEXT_BYTES`.
_MOST_CHARACTERS = 640
_LONGEST = 200


class Identity(Protocol):
    """Whose event it is, as far as it could be read, and what the normaliser would judge by; None where it is unsound."""

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
    """One attempt failed because of the event: the class of error, and the field and the rule in words.

    `violations` are what the contract has found, each in words; empty where it was the normaliser.
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
    """The rejection of an event that breaks the contract in these ways; its message lists as many as it has room for."""
    bounded = [text if len(text) <= _LONGEST else _cut(text) for text in violations]
    message, *rest = bounded
    while rest and len(message) + len(rest[0]) <= _MOST_CHARACTERS:
        message = f"{message}; {rest.pop(0)}"
    if rest:
        message = f"{message}; and {len(rest)} more"
    return Rejection(ErrorClass.SCHEMA_VIOLATION, message, identity, bounded)


def _cut(text: str) -> str:
    """Its beginning, in which a quote that is open is closed: readers are shown what stands outside of quotes."""
    beginning = text[: _LONGEST - 1]
    return f"{beginning}…" + "".join(mark for mark in "'\"" if beginning.count(mark) % 2)
