"""JSON of rows that other accounts may have written: what can't be read is shown as it is, and breaks no listing."""

from typing import Any, Final, TypeVar

import msgspec

SHOWN: Final = 1000
UNREADABLE: Final = "unreadable"
"""The key under which the beginning of a text stands that is of no form that can be read and written again."""

T = TypeVar("T")


def kept_object(text: str | None) -> dict[str, Any]:
    """The object in a column of JSON, empty for null."""
    return {} if text is None else _read(text, dict[str, Any], {UNREADABLE: text[:SHOWN]})


def kept_list(text: str) -> list[dict[str, Any]]:
    """The objects in a column of JSON that holds an array."""
    return _read(text, list[dict[str, Any]], [{UNREADABLE: text[:SHOWN]}])


def _read(text: str, form: type[T], otherwise: T) -> T:
    try:
        found = msgspec.json.decode(text, type=form)
        # A number may be one that Postgres and Python hold, and the answer to a client can't.
        msgspec.json.encode(found)
    except (msgspec.MsgspecError, RecursionError, OverflowError):
        return otherwise
    return found
