"""Names and codecs of record headers. Values are UTF-8 text. Of several headers with one name, the last one applies."""

from collections.abc import Sequence
from typing import Final

PROVENANCE: Final = "bridge-provenance"
ATTEMPT: Final = "bridge-attempt"
DUE_AT: Final = "bridge-due-at"
RECEIVED_AT: Final = "bridge-received-at"
ERROR_CLASS: Final = "bridge-error-class"
ERROR: Final = "bridge-error"
FIRST_FAILED_AT: Final = "bridge-first-failed-at"
DROPPED_REASON: Final = "bridge-dropped-reason"
REPLAY_ID: Final = "bridge-replay-id"
REPLAY_OF: Final = "bridge-replay-of"
NULL: Final = "bridge-null"
OMITTED: Final = "bridge-omitted"
ORIGINAL_TOPIC: Final = "x-original-topic"

SITE_ID: Final = "bridge-site-id"
SCRIPT_ID: Final = "bridge-script-id"
ORIGIN: Final = "bridge-origin"
EVENT_ID: Final = "bridge-event-id"
SENDER: Final = "bridge-sender"
PROOF: Final = "bridge-proof"
REQUEST_ID: Final = "x-request-id"
TRACE_ID: Final = "x-trace-id"
TRACEPARENT: Final = "traceparent"

STREAM_SETS: Final = frozenset(
    {PROVENANCE, ATTEMPT, DUE_AT, ERROR_CLASS, ERROR, FIRST_FAILED_AT, DROPPED_REASON, NULL, OMITTED, ORIGINAL_TOPIC}
)
"""Headers that the product appends to its own copies. On a raw record they are the producer's plain data."""

ERROR_TEXT_BYTES: Final = 1024
MOST_HEADERS: Final = 1024
"""The most headers of an event that is retried, and of a record that is stored or copied whole."""

Headers = Sequence[tuple[str, bytes | None]]


def length_beside_value(key: bytes | None, headers: Headers) -> int:
    """Return a record's size without its value: bytes of key and header values, and characters of header names."""
    return len(key or b"") + sum(len(name) + len(value or b"") for name, value in headers)


def last_place(headers: Headers, name: str) -> int | None:
    """Return the position of the last header of this name; None if it is absent."""
    return next((place for place in range(len(headers) - 1, -1, -1) if headers[place][0] == name), None)


def last(headers: Headers, name: str) -> str | None:
    """Return the text of the last header of this name; None if it is absent, null or not UTF-8."""
    for header, value in reversed(headers):
        if header == name:
            try:
                return None if value is None else value.decode()
            except UnicodeDecodeError:
                return None
    return None


def last_int(headers: Headers, name: str) -> int | None:
    """Return the last header of this name as an integer of at most 19 ASCII digits; None if it is anything else."""
    text = last(headers, name)
    if text is None or len(text) > 19 or not (text.isascii() and text.isdigit()):
        return None
    return int(text)


def bounded_text(text: str, limit: int = ERROR_TEXT_BYTES) -> str:
    """Return text that Postgres and a header can store: no NUL, no lone surrogate, at most `limit` bytes of UTF-8."""
    clean = text.replace("\x00", "\ufffd").encode("utf-8", "replace")
    return clean[:limit].decode("utf-8", "ignore")
