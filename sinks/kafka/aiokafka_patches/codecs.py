"""Limits on inflating compressed batches.

aiokafka inflates batches without a limit, and a compressed batch of a megabyte can inflate to gigabytes. One limit
applies to each batch. Another applies to all batches that a task gets by one request for records.
"""

import asyncio
import sys
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import cramjam
from aiokafka import codec
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record import default_records, legacy_records

from schemas.kafka.headers import MOST_HEADERS

_FIRST_BYTES: int = 64 * 1024
_STEP: int = 8
_PIECE_BYTES: int = 16 * 1024
_MOST_MEMBERS: int = 1000
_LEAST_BLOCK: int = 1024
"""Size in bytes of the smallest block that Java's snappy library can be set to.

A flush, and the end of a batch, write shorter blocks.
"""
_MOST_HEADERS: int = 10_000
"""The most headers of one record.

A record with more is no event: it keeps just enough headers to be recognised as such. Each empty header takes two bytes
in the batch, half a microsecond to read, and some seventy bytes of memory.
"""
_HEADERS_LEFT: int = MOST_HEADERS + 1
_HEADERS_AT_ONCE: int = 50_000
"""A read ends when its records have more headers than this."""
_SHORT_BYTES: int = 2 * _MOST_HEADERS
_LARGE_BATCH: int = 400_000
"""The size, in bytes, from which the length of each record is checked. A smaller batch is trusted.

If a length in a smaller batch is wrong, the client refuses the batch within 0.1 s.
"""
_FEW_HEADERS: int = 16
_MOST_RECORDS: int = 150_000
"""The most records of a batch. An event has at least about 80 bytes, so 8 MiB hold at most 105,000 events.

A batch of 150,000 empty records occupies the loop for two microseconds each, 0.3 s in total.
"""
_SHORTEST_RECORD: int = 6
_SHIFTS = range(7, 70, 7)
_COMPILED = ("aiokafka.record._crecords.default_records", "aiokafka.record._crecords.legacy_records")

Inflate = Callable[[bytes], bytes]


class _Read:
    """What one read (a request for records) has inflated so far."""

    __slots__ = ("bytes", "enough", "headers", "largest")

    def __init__(self) -> None:
        self.bytes = self.largest = self.headers = 0
        self.enough = False


_reads: "WeakKeyDictionary[asyncio.Task[Any], _Read]" = WeakKeyDictionary()


class _EnoughError(Exception):
    """Raised to end a read (a request for records) before its next batch is inflated."""


def count_anew() -> None:
    """Begin a new read (one request for records) of the current task, with nothing inflated yet.

    A read that reaches the limit of inflated bytes or headers ends, and returns the records that it has read. The next
    read returns the remaining records. Every read returns at least one record, and inflates at least one batch.
    """
    if (task := asyncio.current_task()) is not None:
        _reads[task] = _Read()


def had_enough() -> bool:
    """Return whether the current task's last read (request for records) ended at the limit of inflated data."""
    read = _this_read()
    return read is not None and read.enough


def _this_read() -> _Read | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else _reads.get(task)


def bound_inflation(most_bytes: int) -> None:
    """Make every consumer of this process refuse a batch that inflates to more than `most_bytes`.

    Reading the records of a refused or corrupt batch raises ValueError, as for any other unreadable record.
    """
    for name, inflate in _INFLATE.items():
        bounded = _bounded(name, most_bytes, inflate)
        for module in _modules():
            if hasattr(module, f"{name}_decode"):
                with_headers = module.__name__.endswith("default_records")
                setattr(module, f"{name}_decode", _of_few_headers(bounded) if with_headers else bounded)
    FetchResult.getall = _until_enough


def _modules() -> list[ModuleType]:
    """Return aiokafka's modules to patch: those that import the decoders by name. Compiled modules may be absent."""
    return [default_records, legacy_records, *(sys.modules[name] for name in _COMPILED if name in sys.modules)]


def _of_few_headers(inflate: Inflate) -> Inflate:
    def inflate_and_count(payload: bytes) -> bytes:
        inflated = inflate(payload)
        return inflated if len(inflated) <= _SHORT_BYTES else _cut_headers(inflated)

    return inflate_and_count


def _until_enough(self: FetchResult, max_records: int | None = None) -> list[Any]:
    """Return records like aiokafka's `getall`, but stop at the limit of the current read (a request for records).

    If the read has reached its limit before, no record is returned. Records with too many headers have only the first
    _HEADERS_LEFT. aiokafka's function makes two calls for each record. This one avoids them, because every record
    passes through it.
    """
    read = _this_read()
    if (read is not None and read.enough) or not self.check_assignment(self._topic_partition) or not self.has_more():
        return []
    most = sys.maxsize if max_records is None else max_records
    records: PartitionRecords = self._partition_records
    found: list[Any] = []
    more = False
    try:
        for record in records._records_iterator:  # noqa: SLF001
            found.append(record)
            if (len(record.headers) > _FEW_HEADERS and _has_enough_headers(record, read)) or len(found) >= most:
                # The iterator keeps the remaining records, which are already inflated.
                more = True
                break
    except _EnoughError:
        pass
    self._update_position()
    if not more:
        self._partition_records = None
    return found


def _has_enough_headers(record: Any, read: _Read | None) -> bool:
    """Cut the record's headers to the limit; return whether the current request for records ends with this record."""
    count = len(record.headers)
    if count > _MOST_HEADERS:
        record.headers = record.headers[:_HEADERS_LEFT]
    if read is None:
        return False
    read.headers += count
    if read.headers > _HEADERS_AT_ONCE:
        read.enough = True
    return read.enough


def _cut_headers(records: bytes) -> bytes:
    """Return the batch's records, each with at most _HEADERS_LEFT headers if it had more than _MOST_HEADERS.

    Omitted headers are not parsed. Raises ValueError for a batch of more than _MOST_RECORDS records. An invalid batch
    is returned unchanged, because aiokafka reports the error later. The format of records is described at
    https://kafka.apache.org/documentation/#record
    """
    place = kept = count = 0
    parts: list[bytes] = []
    short = _SHORT_BYTES if len(records) < _LARGE_BATCH else 0
    try:
        while place < len(records):
            if (count := count + 1) > _MOST_RECORDS:
                raise ValueError(f"a batch of more than {_MOST_RECORDS} records")
            first, second = records[place], records[place + 1]
            if second < 0x80 <= first:
                # Most lengths have two bytes; these are decoded inline, which saves a call for each record.
                length, begin = (first & 0x7F | second << 7) >> 1 if not first & 1 else -1, place + 2
            else:
                length, begin = _varint(records, place)
            if length < _SHORTEST_RECORD:
                break
            if length > short:
                at = _headers_at(records, begin)
                stated, first = _varint(records, at)
                if stated > _MOST_HEADERS:
                    left = records[begin:at] + _as_varint(_HEADERS_LEFT) + _first_headers(records, first)
                    parts += [records[kept:place], _as_varint(len(left)), left]
                    kept = begin + length
            place = begin + length
    except IndexError:
        pass
    return b"".join([*parts, records[kept:]]) if parts else records


def _headers_at(records: bytes, begin: int) -> int:
    """Return the position of a record's header count. `begin` is the position after the record's length field.

    Raises IndexError if the record is cut.
    """
    place = begin
    for _ in range(3):  # attributes, which the client reads as a number too, and the deltas of time and offset
        place = _varint(records, place)[1]
    for _ in range(2):  # key and value
        size, place = _varint(records, place)
        place += max(0, size)
    return place


def _first_headers(records: bytes, place: int) -> bytes:
    begin = place
    for _ in range(2 * _HEADERS_LEFT):  # a name and a value each
        size, place = _varint(records, place)
        place += max(0, size)
    if place > len(records):
        raise IndexError
    return records[begin:place]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the zigzag-encoded number at `place`, and the position after the number.

    Raises IndexError if the data ends before, or if the number has too many bytes.
    """
    value = data[place]
    if value < 0x80:  # most have one byte
        return (value >> 1) ^ -(value & 1), place + 1
    value &= 0x7F
    for shift in _SHIFTS:
        place += 1
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # the last byte of a number
            return (value >> 1) ^ -(value & 1), place + 1
    raise IndexError


def _as_varint(number: int) -> bytes:
    """Encode a non-negative number as a zigzag number."""
    left, written = number << 1, bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])


def _bounded(name: str, most: int, inflate: Callable[[bytes, int], bytes]) -> Inflate:
    def inflate_or_say(payload: bytes) -> bytes:
        read = _this_read()
        # The next batch is likely as large as the largest so far.
        if read is not None and read.bytes and read.bytes + read.largest > most:
            read.enough = True
            raise _EnoughError
        try:
            inflated = inflate(payload, most)
        except (cramjam.DecompressionError, zlib.error, OSError, EOFError) as error:
            raise ValueError(f"a batch that can't be decompressed as {name}: {error}") from error
        if read is not None:
            read.bytes += len(inflated)
            read.largest = max(read.largest, len(inflated))
        return inflated

    return inflate_or_say


def _too_large(most: int) -> ValueError:
    return ValueError(f"a batch that inflates to more than {most} bytes; see BRIDGE_INFLATE_MAX_BYTES")


def _gzip(payload: bytes, most: int) -> bytes:
    """Inflate all gzip members, as other clients do, up to _MOST_MEMBERS members.

    A member costs about a thousand times as much time as one of its bytes.
    """
    left, inflated = memoryview(payload), bytearray()
    for _ in range(_MOST_MEMBERS):
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            if not left:
                raise EOFError("the compressed data ends too early")
            # Passed in pieces, because the decompressor copies everything after the member.
            piece = left[:_PIECE_BYTES]
            inflated += inflater.decompress(piece, most + 1 - len(inflated))
            if len(inflated) > most:
                raise _too_large(most)
            left = left[len(piece) - len(inflater.unused_data) :]
        if not left:
            return bytes(inflated)
    raise ValueError(f"a batch of more than {_MOST_MEMBERS} gzip members")


def _growing(inflate_into: Callable[[bytes, bytearray], int], payload: bytes, most: int) -> bytes:
    """Inflate into a buffer that grows up to the limit.

    The inflated size that the batch states is not trusted: a false one would make this process allocate that much.
    """
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
    """Inflate plain snappy, or the blocks that Java's library writes.

    The decompressor checks the stated size of a block. An empty block takes a microsecond and only five bytes of the
    batch. The number of blocks is therefore limited to what regular clients write at most.
    """
    if not codec._detect_xerial_stream(payload):  # noqa: SLF001  # the library's own way to tell them apart
        return _snappy_block(payload, most, most)
    parts: list[bytes] = []
    position, left = 16, most
    blocks = most // _LEAST_BLOCK + _MOST_MEMBERS
    while position < len(payload):
        if len(parts) == blocks:
            raise ValueError(f"a batch of more than {blocks} snappy blocks")
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


_INFLATE: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "snappy": _snappy,
    "lz4": lambda payload, most: _growing(cramjam.lz4.decompress_into, payload, most),
    "zstd": lambda payload, most: _growing(cramjam.zstd.decompress_into, payload, most),
}
"""The decompressors by their names, with the payload and the limit as arguments."""
