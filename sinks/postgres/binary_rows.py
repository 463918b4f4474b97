"""Rows encoded in the binary form of a COPY statement, for a batch of which a part was encoded natively."""

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import Final

from schemas.events.bridge_event import BridgeEvent
from schemas.pipeline.outcome import Candidate, Normalized
from sinks.cooperative import Turn

OPTIONS: Final = {"format": "binary"}
"""The options of the COPY statement."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
# Postgres reads one part while the next part is encoded.
_BYTES: Final = 100_000

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_COLUMNS: Final = len(BridgeEvent.__struct_fields__).to_bytes(2)
_JSONB: Final = frozenset({"properties", "original"})
_INTEGERS: Final = frozenset({"raw_partition", "attempt"})
_NULL: Final = b"\xff\xff\xff\xff"
_DECIMALS: Final = 6
_NEGATIVE: Final = 0x4000
_BASE: Final = 10_000
_VERSION_OF_JSONB: Final = b"\1"
_numeric_head: Final = Struct(">HhHH").pack
_long: Final = Struct(">iq").pack
_integer: Final = Struct(">ii").pack


def row(event: BridgeEvent) -> bytes:
    """Return the event's row. Raises UnicodeEncodeError for a text with a lone surrogate."""
    fields = event.__struct_fields__
    return _COLUMNS + b"".join([_column(name, getattr(event, name)) for name in fields])


async def parts(candidates: Sequence[Candidate]) -> AsyncIterator[bytes]:
    """Yield the body of the COPY statement in parts. Other tasks run between two parts.

    Raises UnicodeEncodeError for a text with a lone surrogate.
    """
    turn = Turn()
    part, size = [_HEADER], 0
    for rows in _pieces(candidates):
        part.append(rows)
        size += len(rows)
        if size >= _BYTES:
            yield b"".join(part)
            part, size = [], 0
            await turn.let_others()
    yield b"".join([*part, _TRAILER])


def _pieces(candidates: Sequence[Candidate]) -> Iterator[bytes]:
    """Yield the rows in their order, natively encoded ones that follow each other together.

    Rows that were encoded together have about as many bytes as are written at once.
    """
    at = 0
    while at < len(candidates):
        one = candidates[at]
        if isinstance(one, Normalized):
            yield row(one.event)
            at += 1
            continue
        rows, place, first = one.rows, one.place, at
        while at < len(candidates):
            next_one = candidates[at]
            if isinstance(next_one, Normalized) or next_one.rows is not rows or next_one.place != place + at - first:
                break
            at += 1
        yield rows.encoded(place, place + at - first)


def _column(name: str, value: object) -> bytes:
    if value is None:
        return _NULL
    if isinstance(value, str):
        text = value.encode()
        return _sized(_VERSION_OF_JSONB + text if name in _JSONB else text)
    if isinstance(value, int):
        return _integer(4, value) if name in _INTEGERS else _long(8, value)
    if isinstance(value, datetime):
        return _long(8, (value - _EPOCH) // _MICROSECOND)
    if isinstance(value, Decimal):
        return _sized(_numeric(value))
    raise TypeError(f"{name} has the type {type(value).__name__}")


def _sized(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def _numeric(value: Decimal) -> bytes:
    """Return an amount with at most six decimals in the binary form of Postgres' numeric type."""
    # Two digits of base 10,000 hold the decimals.
    rest = abs(int(value.scaleb(2 * 4)))
    digits: list[int] = []
    while rest:
        rest, digit = divmod(rest, _BASE)
        digits.append(digit)
    weight = len(digits) - 3 if digits else 0
    while digits and not digits[0]:
        del digits[0]
    head = _numeric_head(len(digits), weight, _NEGATIVE if value < 0 else 0, _DECIMALS)
    return head + b"".join(digit.to_bytes(2) for digit in reversed(digits))
