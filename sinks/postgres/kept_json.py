"""JSON from rows that other accounts may have written: unreadable text is shown as it is, and breaks no listing."""

from typing import Any, Final, TypeVar

import msgspec

SHOWN: Final = 1000
UNREADABLE: Final = "unreadable"
"""The key for the beginning of a text that can't be decoded and encoded again."""

T = TypeVar("T")


def kept_object(text: str | None) -> dict[str, Any]:
    """Return the object in a JSON column, empty for null."""
    return {} if text is None else _read(text, dict[str, Any], {UNREADABLE: text[:SHOWN]})


def kept_list(text: str) -> list[dict[str, Any]]:
    """Return the objects in a JSON column with an array."""
    return _read(text, list[dict[str, Any]], [{UNREADABLE: text[:SHOWN]}])


def _read(text: str, form: type[T], otherwise: T) -> T:
    try:
        found = msgspec.json.decode(text, type=form)
        # Postgres and Python may accept a number that the answer to a client can't encode.
        msgspec.json.encode(found)
    except (msgspec.MsgspecError, RecursionError, OverflowError):
        return otherwise
    return found
