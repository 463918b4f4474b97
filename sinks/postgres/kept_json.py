"""JSON from database rows that any account may have written: one unreadable row must not break a listing.

Of an unreadable text, a listing shows the beginning.
"""

from typing import Any, Final, TypeVar

import msgspec

SHOWN: Final = 1000
UNREADABLE: Final = "unreadable"
"""The key under which the beginning of an unreadable text is shown."""

T = TypeVar("T")


def kept_object(text: str | None) -> dict[str, Any]:
    """Return the JSON object in a column; an empty dictionary for null."""
    return {} if text is None else _read(text, dict[str, Any], {UNREADABLE: text[:SHOWN]})


def kept_list(text: str) -> list[dict[str, Any]]:
    """Return the JSON objects in a column that has an array."""
    return _read(text, list[dict[str, Any]], [{UNREADABLE: text[:SHOWN]}])


def _read(text: str, form: type[T], otherwise: T) -> T:
    try:
        found = msgspec.json.decode(text, type=form)
        # Postgres and Python accept some numbers that the encoder of an API's answer refuses.
        msgspec.json.encode(found)
    except (msgspec.MsgspecError, RecursionError, OverflowError):
        return otherwise
    return found
