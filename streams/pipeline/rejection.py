"""The rejection of an event by the decoder or the normaliser, with the readable parts of the event's identity."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from schemas.reasons import ErrorClass

# A message and what is appended to it must fit the ledger's limit, `schemas.kafka.headers.ERROR_TEXT_BYTES`.
_MOST_CHARACTERS = 640
_LONGEST = 200


class Claimed(Protocol):
    """The identity that a refused event's JSON document states about itself, as far as it is readable.

    It is not verified.
    """

    @property
    def event_id(self) -> str | None: ...
    @property
    def site_id(self) -> int | None: ...
    @property
    def script_id(self) -> str | None: ...


class Identity(Claimed, Protocol):
    """The readable parts of a rejected event's identity, and the fields that the normaliser checks.

    A field is None if its value in the event is invalid.
    """

    @property
    def occurred_at(self) -> datetime | int | None: ...
    @property
    def sent_at(self) -> datetime | int | None: ...
    @property
    def currency(self) -> str | None: ...


class Rejection(Exception):
    """An attempt has failed because of the event itself. The message has the field and the rule.

    `violations` are all violations of the contract, as texts. They are empty if the normaliser has rejected the event.
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
    """Return the rejection of an event that has these violations. Its message lists as many of them as fit."""
    bounded = [text if len(text) <= _LONGEST else _cut(text) for text in violations]
    message, *rest = bounded
    while rest and len(message) + len(rest[0]) <= _MOST_CHARACTERS:
        message = f"{message}; {rest.pop(0)}"
    if rest:
        message = f"{message}; and {len(rest)} more"
    return Rejection(ErrorClass.SCHEMA_VIOLATION, message, identity, bounded)


def _cut(text: str) -> str:
    """Cut an error text to the limit, and close a quote that the cut has left open.

    Dead letters are grouped by their error without its quoted parts, so an open quote would make new groups.
    """
    beginning = text[: _LONGEST - 1]
    return f"{beginning}…" + "".join(mark for mark in "'\"" if beginning.count(mark) % 2)
