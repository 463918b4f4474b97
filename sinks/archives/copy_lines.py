"""Archived rows encoded in the text form of a COPY statement, which Postgres reads for columns of every type; pure."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from schemas.pipeline.archive import ArchiveColumn, ColumnKind
from sinks.archives.columns import kind_of
from sinks.archives.digests import EPOCH, Values

OPTIONS: Final = {"format": "text"}
"""The options of the COPY statement."""
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def line_encoder(columns: Sequence[ArchiveColumn]) -> Callable[[Sequence[Values]], bytes]:
    """Return the function that encodes rows of these columns as lines."""
    encoders = [_ENCODERS[kind_of(one)] for one in columns]

    def lines(rows: Sequence[Values]) -> bytes:
        texts = [
            "\t".join(["\\N" if value is None else encode(value) for encode, value in zip(encoders, row, strict=True)])
            for row in rows
        ]
        return ("\n".join(texts) + "\n").encode() if texts else b""

    return lines


def _time(value: int) -> str:
    return (EPOCH + timedelta(microseconds=value)).isoformat()


def _boolean(value: bool) -> str:
    return "t" if value else "f"


def _text(value: str) -> str:
    return value.translate(_ESCAPES)


def _decimal(value: Decimal) -> str:
    return f"{value:f}"


_ENCODERS: Final[dict[ColumnKind, Callable[[Any], str]]] = {
    ColumnKind.TIME: _time,
    ColumnKind.BIGINT: str,
    ColumnKind.INTEGER: str,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.TEXT: _text,
    ColumnKind.AS_TEXT: _text,
    ColumnKind.DECIMAL: _decimal,
}
