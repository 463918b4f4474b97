"""What a compressed batch may inflate to: aiokafka inflates whatever comes, and a megabyte can hold gigabytes."""

import asyncio
import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import cramjam
from aiokafka import codec
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record import default_records, legacy_records

from schemas.errors import BridgeError

_FIRST_BYTES: int = 64 * 1024
_STEP: int = 8
_PIECE_BYTES: int = 16 * 1024
_MOST_MEMBERS: int = 1000
_MOST_HEADERS: int = 200_000
"""Of one batch, and of one read but for its first record. An empty one takes some seventy bytes, and two in the batch."""
_SHORT_BYTES: int = 2 * _MOST_HEADERS
_FEW_HEADERS: int = 16
_MOST_RECORDS: int = 500_000
_SHORTEST_RECORD: int = 6
_NAMES = ("gzip_decode", "snappy_decode", "lz4_decode", "zstd_decode")
_COMPILED = ("aiokafka.record._crecords.default_records", "aiokafka.record._crecords.legacy_records")

Inflate = Callable[[bytes], bytes]

_used: "WeakKeyDictionary[asyncio.Task[Any], int]" = WeakKeyDictionary()
_headers: "WeakKeyDictionary[asyncio.Task[Any], int]" = WeakKeyDictionary()


class TooMuchAtOnce(BridgeError):
    """One read inflated several batches to more than one may, or met too many headers; fewer records at once will do."""


def count_anew() -> None:
    """Has what this task reads from now on raise TooMuchAtOnce once it comes to more than one batch may."""
    if (task := asyncio.current_task()) is not None:
        _used[task] = _headers[task] = 0


def bound_inflation(most_bytes: int) -> None:
    """Has every consumer of this process refuse a batch that inflates to more.

    A refused batch, like one that is no sound compression, raises ValueError where its records are read, as other
    records do that can't be read at all.
    """
    bounded = _bounded(most_bytes)
    for module in _modules():
        for name in _NAMES:
            if hasattr(module, name):
                with_headers = module.__name__.endswith("default_records")
                setattr(module, name, _of_few_headers(bounded[name]) if with_headers else bounded[name])
    PartitionRecords._consumer_record = _counting_headers  # noqa: SLF001  # the one place at which each record passes


def _modules() -> list[ModuleType]:
    """Each module that has the functions under names of its own: aiokafka's compiled ones are there or not."""
    return [default_records, legacy_records, *(sys.modules[name] for name in _COMPILED if name in sys.modules)]


def _bounded(most: int) -> dict[str, Inflate]:
    return {
        "gzip_decode": _named("gzip", most, lambda payload: _gzip(payload, most)),
        "snappy_decode": _named("snappy", most, lambda payload: _snappy(payload, most)),
        "lz4_decode": _named("lz4", most, lambda payload: _growing(cramjam.lz4.decompress_into, payload, most)),
        "zstd_decode": _named("zstd", most, lambda payload: _growing(cramjam.zstd.decompress_into, payload, most)),
    }


def _of_few_headers(inflate: Inflate) -> Inflate:
    def inflate_and_count(payload: bytes) -> bytes:
        inflated = inflate(payload)
        if len(inflated) > _SHORT_BYTES:
            _check_headers(inflated)
        return inflated

    return inflate_and_count


_consumer_record = PartitionRecords._consumer_record  # noqa: SLF001  # wrapped below


def _counting_headers(self: PartitionRecords, partition: Any, record: Any) -> Any:
    """Raises TooMuchAtOnce for a record whose headers are too many for this read, whatever its batch's compression."""
    if len(record.headers) > _FEW_HEADERS:
        _count(_headers, len(record.headers), _MOST_HEADERS, "headers")
    return _consumer_record(self, partition, record)


def _check_headers(records: bytes) -> None:
    """Raises ValueError for a batch whose records state more headers than any need, or that has very many records.

    What is no batch at all the client says. https://kafka.apache.org/documentation/#record
    """
    place = headers = 0
    try:
        for _ in range(_MOST_RECORDS):
            if place >= len(records):
                return
            length, begin = _varint(records, place)
            if length < _SHORTEST_RECORD:
                return
            headers += max(0, _headers_of(records, begin))
            if headers > _MOST_HEADERS:
                raise ValueError(f"a batch of more than {_MOST_HEADERS} headers")
            place = begin + length
    except IndexError:
        return
    raise ValueError(f"a batch of more than {_MOST_RECORDS} records")


def _headers_of(records: bytes, place: int) -> int:
    place += 1  # attributes
    for _ in range(2):  # deltas of time and offset
        _, place = _varint(records, place)
    for _ in range(2):  # key and value
        size, place = _varint(records, place)
        place += max(0, size)
    return _varint(records, place)[0]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A zigzag number, and where it ends; raises IndexError."""
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # the last byte of a number
            return (value >> 1) ^ -(value & 1), place
        shift += 7


def _named(name: str, most: int, inflate: Inflate) -> Inflate:
    def inflate_or_say(payload: bytes) -> bytes:
        try:
            inflated = inflate(payload)
        except (cramjam.DecompressionError, zlib.error, OSError, EOFError) as error:
            raise ValueError(f"a batch that is no sound {name}: {error}") from error
        _count(_used, len(inflated), most, "bytes")
        return inflated

    return inflate_or_say


def _count(counted: "WeakKeyDictionary[asyncio.Task[Any], int]", size: int, most: int, of: str) -> None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return
    if task is not None and task in counted:
        used = counted[task]
        # One alone may always be read.
        if used and used + size > most:
            raise TooMuchAtOnce(f"one read that comes to more than {most} {of}")
        counted[task] = used + size


def _too_large(most: int) -> ValueError:
    return ValueError(f"a batch that inflates to more than {most} bytes; see BRIDGE_INFLATE_MAX_BYTES")


def _gzip(payload: bytes, most: int) -> bytes:
    """One member after another, as other clients read them, but not very many: each costs a thousand times its bytes."""
    left, inflated = memoryview(payload), bytearray()
    for _ in range(_MOST_MEMBERS):
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            if not left:
                raise EOFError("it ends too early")
            # What is behind a member is copied for each of them.
            piece = left[:_PIECE_BYTES]
            inflated += inflater.decompress(piece, most + 1 - len(inflated))
            if len(inflated) > most:
                raise _too_large(most)
            left = left[len(piece) - len(inflater.unused_data) :]
        if not left:
            return bytes(inflated)
    raise ValueError(f"a batch of more than {_MOST_MEMBERS} gzip members")


def _growing(inflate_into: Callable[[bytes, bytearray], int], payload: bytes, most: int) -> bytes:
    """Into a buffer that grows up to the bound: what a batch claims of its own size is not to be trusted."""
    size = min(most, max(_FIRST_BYTES, _STEP * len(payload)))
    while True:
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: inflate_into(payload, buffer)])
        except cramjam.DecompressionError as error:
            if "whole buffer" not in str(error):
                raise
            if size >= most:
                raise _too_large(most) from None
        size = min(most, size * _STEP)


def _snappy(payload: bytes, most: int) -> bytes:
    """Plain, or in the blocks of Java's library; each block says how large it is, and can't lie."""
    if not codec._detect_xerial_stream(payload):  # noqa: SLF001  # the library's own way to tell them apart
        return _snappy_block(payload, most, most)
    parts: list[bytes] = []
    position, left = 16, most
    while position < len(payload):
        size = int.from_bytes(payload[position : position + 4], "big")
        position += 4
        parts.append(_snappy_block(payload[position : position + size], left, most))
        left -= len(parts[-1])
        position += size
    return b"".join(parts)


def _snappy_block(block: bytes, left: int, most: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(block) > left:
        raise _too_large(most)
    return bytes(cramjam.snappy.decompress_raw(block))
