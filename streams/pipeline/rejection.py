"""The rejection of an event by decoder or normaliser, with the readable part of its identity."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from schemas.reasons import ErrorClass

# A message and what is appended to it must fit the ledger's limit, `schemas.kafka.headers.ERROR_TEXT_BYTES`.
_MOST_CHARACTERS = 640
_LONGEST = 200


class Identity(Protocol):
    """The readable identity of an event, and the fields that the normaliser checks.

    A field is None if its value is invalid.
    """

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
    """An attempt failed because of the event. It has the error class, and a message with field and rule.

    `violations` are the violations of the contract as texts; empty if the normaliser raised the rejection.
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
    """Return the rejection of an event with these violations. The message lists as many of them as fit."""
    bounded = [text if len(text) <= _LONGEST else _cut(text) for text in violations]
    message, *rest = bounded
    while rest and len(message) + len(rest[0]) <= _MOST_CHARACTERS:
        message = f"{message}; {rest.pop(0)}"
    if rest:
        message = f"{message}; and {len(rest)} more"
    return Rejection(ErrorClass.SCHEMA_VIOLATION, message, identity, bounded)


def _cut(text: str) -> str:
    """Cut a text, and close a quote that is then open. Causes use only the text outside quotes."""
    beginning = text[: _LONGEST - 1]
    return f"{beginning}…" + "".join(mark for mark in "'\"" if beginning.count(mark) % 2)
