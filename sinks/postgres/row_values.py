"""Errors of Postgres without the values of the rows that they are about.

Postgres adds the refused row to an error's DETAIL, the line of a COPY to its CONTEXT, and a value that it can't read to the message. The
driver's message has the beginning of a value that it can't encode. These are contents of events. Errors are printed, logged with their
causes, kept in the history of runs and sent to the webhook.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

_DETAIL, _CONTEXT, _MESSAGE, _SQLSTATE = "D", "W", "M", "C"
"""Names of an error's fields in Postgres' protocol."""
_WITHOUT_VALUES: Final = ("08", "25", "28", "2B", "3D", "40", "42", "53", "55", "57", "58")
"""Classes of SQLSTATEs whose DETAIL names sessions, roles and relations, and no value of a row."""
_OF_VALUES: Final = "22"
_OF_SETTINGS: Final = "22023"
"""A setting's invalid value, which the operator has to see."""
_QUOTED: Final = re.compile(r'".*"(?:: .*)?', re.DOTALL)
_ENCODED: Final = re.compile(r"(query argument \$\d+): .* \(", re.DOTALL)

Fields = Mapping[str, Any]


def without_row_values(fields: Fields) -> dict[str, Any]:
    """Return the fields of an error in Postgres' protocol without the values of rows."""
    kept = {name: text for name, text in fields.items() if name != _CONTEXT}
    sqlstate = str(fields.get(_SQLSTATE, ""))
    if not sqlstate.startswith(_WITHOUT_VALUES):
        kept.pop(_DETAIL, None)
    if sqlstate.startswith(_OF_VALUES) and sqlstate != _OF_SETTINGS and _MESSAGE in kept:
        kept[_MESSAGE] = _QUOTED.sub("…", kept[_MESSAGE])
    return kept


_new = asyncpg.PostgresError.new
_init = asyncpg.DataError.__init__


def _new_without(fields: Fields, query: str | None = None) -> Any:
    return _new(without_row_values(fields), query)


def _init_without(self: Any, message: str) -> None:
    _init(self, _ENCODED.sub(r"\1 (", message))


def hide_row_values() -> None:
    """Make the driver raise errors without the values of rows, so that no log of an error's cause has them either."""
    asyncpg.PostgresError.new = _new_without
    asyncpg.DataError.__init__ = _init_without
