"""Digests of archived rows, equal to those that Postgres computes from the rows in its tables; pure.

The digest of a row is the SHA-256 of Postgres' binary form of a record (`record_send`): the number of columns, and for
each the type's number, the length and the value. So equal digests mean equal values, NULLs and types.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from struct import Struct
from typing import Any, Final

from schemas.pipeline.archive import ArchiveColumn, ColumnKind, HourSums, PartitionSums
from sinks.archives.columns import kind_of

Values = Sequence[Any]
"""The values of a row: times in microseconds since 1970, decimals as Decimal, and all others as in Postgres."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SINCE_2000: Final = 946_684_800_000_000
"""Postgres counts time from 2000 on, in microseconds."""
_BOOL, _INT8, _INT4, _TEXT, _TIMESTAMPTZ = 16, 20, 23, 25, 1184
_NULL: Final = b"\xff\xff\xff\xff"
_int8 = Struct(">iiq").pack
_int4 = Struct(">iii").pack
_bool = Struct(">ii?").pack
_head = Struct(">ii").pack
_number = Struct(">i").pack


def row_digester(columns: Sequence[ArchiveColumn]) -> Callable[[Values], bytes]:
    """Return the function that digests a row of these columns."""
    encoders = [_ENCODERS[kind_of(one)] for one in columns]
    nulls = [_number(_OIDS[kind_of(one)]) + _NULL for one in columns]
    count, sha256 = _number(len(columns)), hashlib.sha256

    def digest(values: Values) -> bytes:
        pieces = [
            null if value is None else encode(value)
            for encode, null, value in zip(encoders, nulls, values, strict=True)
        ]
        return sha256(count + b"".join(pieces)).digest()

    return digest


def _time(value: int) -> bytes:
    return _int8(_TIMESTAMPTZ, 8, value - _SINCE_2000)


def _bigint(value: int) -> bytes:
    return _int8(_INT8, 8, value)


def _integer(value: int) -> bytes:
    return _int4(_INT4, 4, value)


def _boolean(value: bool) -> bytes:
    return _bool(_BOOL, 1, value)


def _text(value: str) -> bytes:
    content = value.encode()
    return _head(_TEXT, len(content)) + content


def _decimal(value: Decimal) -> bytes:
    return _text(f"{value:f}")


_ENCODERS: Final[dict[ColumnKind, Callable[[Any], bytes]]] = {
    ColumnKind.TIME: _time,
    ColumnKind.BIGINT: _bigint,
    ColumnKind.INTEGER: _integer,
    ColumnKind.BOOLEAN: _boolean,
    ColumnKind.TEXT: _text,
    ColumnKind.AS_TEXT: _text,
    ColumnKind.DECIMAL: _decimal,
}
_OIDS: Final = {
    ColumnKind.TIME: _TIMESTAMPTZ,
    ColumnKind.BIGINT: _INT8,
    ColumnKind.INTEGER: _INT4,
    ColumnKind.BOOLEAN: _BOOL,
    ColumnKind.TEXT: _TEXT,
    ColumnKind.AS_TEXT: _TEXT,
    ColumnKind.DECIMAL: _TEXT,
}


class Summing:
    """The sums of the rows of one hour, which are added in the order of their places."""

    def __init__(self, hour: datetime, columns: Sequence[ArchiveColumn]) -> None:
        names = [one.name for one in columns]
        self._place = [names.index(name) for name in ("raw_topic", "raw_partition", "raw_offset", "attempt")]
        self._received = names.index("received_at")
        self._hour, self._begin = hour, round((hour - EPOCH) / timedelta(microseconds=1))
        self._digest = row_digester(columns)
        self._found: dict[tuple[str, int], _Partition] = {}
        self.misplaced = 0
        """The number of rows of other hours."""

    def add(self, values: Values) -> None:
        """Add a row."""
        topic, partition, offset, attempt = (values[at] for at in self._place)
        self.misplaced += not 0 <= values[self._received] - self._begin < 3_600_000_000
        found = self._found.get((topic, partition))
        if found is None:
            found = self._found[topic, partition] = _Partition(offset)
        found.add(offset, attempt, self._digest(values))

    def sums(self) -> list[HourSums]:
        """Return the sums of each raw partition."""
        return [one.sums(topic, partition, self._hour) for (topic, partition), one in self._found.items()]


class _Partition:
    """The sums of the rows of one raw partition and hour."""

    def __init__(self, offset: int) -> None:
        self._rows = self._at_once = 0
        self._first = self._last = offset
        self._sha256 = hashlib.sha256()
        # Of the rows at the last offset; more than one are in the order of their digests.
        self._equal: list[bytes] = []

    def add(self, offset: int, attempt: int, digest: bytes) -> None:
        if offset != self._last:
            self._flush()
        self._equal.append(digest)
        self._rows += 1
        self._at_once += attempt == 1
        self._first, self._last = min(self._first, offset), offset

    def _flush(self) -> None:
        self._sha256.update(b"".join(sorted(self._equal)))
        self._equal.clear()

    def sums(self, topic: str, partition: int, hour: datetime) -> HourSums:
        self._flush()
        return HourSums(
            topic, partition, hour, self._rows, self._at_once, self._first, self._last, self._sha256.digest()
        )


def added_up(hours: Iterable[HourSums]) -> list[PartitionSums]:
    """Return the sums of each raw partition over the hours of a month, by topic and partition."""
    found: dict[tuple[str, int], list[HourSums]] = {}
    for one in hours:
        found.setdefault((one.topic, one.partition), []).append(one)
    return [_added_up(sorted(found[place], key=lambda one: one.hour)) for place in sorted(found)]


def _added_up(hours: Sequence[HourSums]) -> PartitionSums:
    return PartitionSums(
        hours[0].topic,
        hours[0].partition,
        sum(one.rows for one in hours),
        sum(one.at_once for one in hours),
        min(one.first_offset for one in hours),
        max(one.last_offset for one in hours),
        hashlib.sha256(b"".join(one.sha256 for one in hours)).hexdigest(),
        sum(one.bytes for one in hours),
    )


def differences(expected: Iterable[PartitionSums], found: Iterable[PartitionSums], where: str) -> list[str]:
    """Return what is different in `where`, a line for each raw partition. Sizes in Postgres are not compared."""
    wanted = {(one.topic, one.partition): one._replace(bytes=0) for one in expected}
    present = {(one.topic, one.partition): one._replace(bytes=0) for one in found}
    return [
        _difference(place, wanted.get(place), present.get(place), where)
        for place in sorted({*wanted, *present})
        if wanted.get(place) != present.get(place)
    ]


def _difference(place: tuple[str, int], wanted: PartitionSums | None, found: PartitionSums | None, where: str) -> str:
    expected, have = wanted.rows if wanted else 0, found.rows if found else 0
    named = f"{place[0]}:{place[1]}: {where}"
    if expected != have:
        return f"{named} has {have} rows, the manifest {expected}"
    return f"{named} has {have} rows as the manifest, but other ones: the digests differ"
