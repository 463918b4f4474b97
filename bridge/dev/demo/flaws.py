"""Errors that producers make: record values that are no JSON object, and events that violate the contract."""

import json
from collections.abc import Callable
from typing import Final

from bridge.dev.demo.documents import SITES, Document
from schemas.events.raw_event import MAX_BYTES, MAX_DEPTH, MAX_EVENT_ID

_YEAR_MS = 365 * 86_400_000


def encode(document: Document) -> bytes:
    """Return the document as JSON in UTF-8."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _too_deep(document: Document) -> bytes:
    return encode(document)[:-1] + b',"tree":' + b"[" * (MAX_DEPTH + 8) + b"]" * (MAX_DEPTH + 8) + b"}"


INVALID: Final[tuple[Callable[[Document], bytes | None], ...]] = (
    lambda document: encode(document)[:-7],
    lambda document: b"[" + encode(document) + b"]",
    lambda document: encode(document)[:-1] + b",}",
    lambda document: encode(document).replace(b'"site_id"', b"'site_id'"),
    lambda document: encode(document)[:-1] + b',"note":"caf\xe9"}',
    lambda document: encode(document)[:-1] + b',"load":1e999}',
    lambda _document: b"hello",
    lambda _document: b"",
    lambda _document: None,
    lambda document: encode(document | {"properties": {"load_seconds": float("nan")}}),
    _too_deep,
    lambda document: encode(document | {"properties": {"html": "x" * MAX_BYTES}}),
)
"""Functions that turn a valid document into a value that is not an acceptable JSON object; None is a null value."""


def _without(name: str) -> Callable[[Document], Document]:
    return lambda document: {field: value for field, value in document.items() if field != name}


def _with(name: str, value: object) -> Callable[[Document], Document]:
    return lambda document: document | {name: value}


def _shifted(by_ms: int) -> Callable[[Document], Document]:
    """Return a function that moves an event's occurred_at by `by_ms`, far from now.

    The function removes sent_at, by which the stream would correct a wrong clock.
    """

    def shift(document: Document) -> Document:
        at = int(document["event_id"].replace("-", "")[:12], 16) + by_ms
        return _without("sent_at")(document) | {"occurred_at": at}

    return shift


def _bad_amount(document: Document) -> Document:
    return document | {"amount" if document.get("schema_version") == 2 else "value": "19,90 EUR"}


VIOLATIONS: Final[tuple[Callable[[Document], Document], ...]] = (
    _without("event_type"),
    _without("event_id"),
    _without("occurred_at"),
    _with("site_id", "12"),
    _with("site_id", 0),
    _with("event_id", "e" * (MAX_EVENT_ID + 1)),
    _with("occurred_at", "2026-02-10 14:30:01"),
    _with("session_id", 17),
    _with("currency", "ZZZ"),
    _with("user_agent", "nul \x00 inside"),
    _with("properties", ["not", "an", "object"]),
    _with("schema_version", "1"),
    _shifted(-_YEAR_MS),
    _shifted(2 * 86_400_000),
    lambda document: document | {"site_id": document["site_id"] % SITES + 1},
    _bad_amount,
)
"""Functions that turn a valid document into one that violates the contract, each in another way."""
