"""The columns of an archive: how each type of Postgres is kept in Parquet, selected, digested and restored; pure."""

import re
from typing import Final, NamedTuple

from schemas.pipeline.archive import ArchiveColumn, ColumnKind

_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_MOST_DIGITS: Final = 38
"""The most digits of a Parquet decimal that all readers know."""
_KINDS: Final = {
    "timestamp with time zone": ColumnKind.TIME,
    "bigint": ColumnKind.BIGINT,
    "integer": ColumnKind.INTEGER,
    "boolean": ColumnKind.BOOLEAN,
    "text": ColumnKind.TEXT,
}


class Decimals(NamedTuple):
    """The precision and scale of a column of exact numbers."""

    precision: int
    scale: int


def decimals(column: ArchiveColumn) -> Decimals | None:
    """Return precision and scale of a column whose numbers fit a Parquet decimal; None for any other column."""
    found = _NUMERIC.fullmatch(column.type)
    if found is None:
        return None
    precision, scale = int(found[1]), int(found[2])
    return Decimals(precision, scale) if 0 <= scale <= precision <= _MOST_DIGITS else None


def kind_of(column: ArchiveColumn) -> ColumnKind:
    """Return how the column is kept. Types without an equal in Parquet are kept as Postgres' text, from which they are restored."""
    if decimals(column) is not None:
        return ColumnKind.DECIMAL
    return _KINDS.get(column.type, ColumnKind.AS_TEXT)


def selected(columns: tuple[ArchiveColumn, ...]) -> str:
    """Return the SQL expressions that read the columns as the Parquet mapping needs them."""
    return ", ".join(map(_selected, columns))


def digested(columns: tuple[ArchiveColumn, ...]) -> str:
    """Return the SQL expressions whose binary form is digested. `sinks/archives/digests.py` makes the same of the values read back."""
    return ", ".join(map(_digested, columns))


def names(columns: tuple[ArchiveColumn, ...]) -> list[str]:
    """Return the names of the columns in order."""
    return [one.name for one in columns]


def _selected(column: ArchiveColumn) -> str:
    match kind_of(column):
        case ColumnKind.TIME:
            return f"(extract(epoch FROM {_quoted(column)}) * 1000000)::bigint"
        case ColumnKind.AS_TEXT:
            return f"{_quoted(column)}::text"
        case _:
            return _quoted(column)


def _digested(column: ArchiveColumn) -> str:
    if kind_of(column) in (ColumnKind.AS_TEXT, ColumnKind.DECIMAL):
        return f"{_quoted(column)}::text"
    return _quoted(column)


def _quoted(column: ArchiveColumn) -> str:
    return '"' + column.name.replace('"', '""') + '"'
