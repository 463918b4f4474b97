"""Rows in the binary form of COPY, decoded to the events that they contain."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import unpack_from
from typing import Any, Final

from schemas.events.bridge_event import BridgeEvent
from schemas.pipeline.outcome import Candidate, Normalized
from schemas.pipeline.sender import Sender

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TIMES: Final = {"received_at", "occurred_at", "sent_at"}
_INTEGERS: Final = {"site_id", "org_id", "schema_version", "raw_partition", "raw_offset", "attempt"}
_JSONB: Final = {"properties", "original"}
_NEGATIVE: Final = 0x4000


def event_of(candidate: Candidate) -> BridgeEvent:
    """Return the candidate's event; for one that was encoded natively, what its row contains."""
    if isinstance(candidate, Normalized):
        return candidate.event
    return decoded(candidate.rows.encoded(candidate.place, candidate.place + 1))


def decoded(row: bytes) -> BridgeEvent:
    """Return the event of one row."""
    names = BridgeEvent.__struct_fields__
    (columns,), at = unpack_from(">h", row), 2
    assert columns == len(names)
    values = []
    for name in names:
        (length,) = unpack_from(">i", row, at)
        at += 4
        values.append(None if length < 0 else _value(name, row[at : at + length]))
        at += max(length, 0)
    assert at == len(row)
    return BridgeEvent(*values)


def _value(name: str, content: bytes) -> Any:
    if name in _TIMES:
        return _EPOCH + timedelta(microseconds=int.from_bytes(content, signed=True))
    if name in _INTEGERS:
        return int.from_bytes(content, signed=True)
    if name == "value":
        return _numeric(content)
    if name in _JSONB:
        assert content[0] == 1
        content = content[1:]
    return Sender(content.decode()) if name == "sender" else content.decode()


def _numeric(content: bytes) -> Decimal:
    count, weight, sign, decimals = unpack_from(">HhHH", content)
    digits = unpack_from(f">{count}H", content, 8)
    size = sum(Decimal(digit).scaleb(4 * (weight - place)) for place, digit in enumerate(digits))
    assert len(content) == 8 + 2 * count
    assert decimals == 6
    return -size if sign == _NEGATIVE else Decimal(size)
