"""Rows encoded in the binary form of a COPY statement, for a batch of which a part was encoded natively."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import Final

from schemas.events.bridge_event import BridgeEvent

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER: Final = b"\xff\xff"

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


def rows(events: Iterable[BridgeEvent]) -> bytes:
    """Return the rows of events, one after another."""
    return b"".join(map(row, events))


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
