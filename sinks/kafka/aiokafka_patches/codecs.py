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
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record import default_records, legacy_records

from sinks.kafka.aiokafka_patches.many_headers import HEADERS_LEFT, MOST_HEADERS, CutRecords, cut_headers

_FIRST_BYTES: int = 64 * 1024
_STEP: int = 8
_PIECE_BYTES: int = 16 * 1024
_MOST_MEMBERS: int = 1000
_LEAST_BLOCK: int = 1024
"""Size in bytes of the smallest block that Java's snappy library can be set to.

A flush, and the end of a batch, write shorter blocks.
"""
_HEADERS_AT_ONCE: int = 50_000
"""A read ends when its records have more headers than this."""
_FEW_HEADERS: int = 16
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
    fetcher.MemoryRecords = CutRecords


def _modules() -> list[ModuleType]:
    """Return aiokafka's modules to patch: those that import the decoders by name. Compiled modules may be absent."""
    return [default_records, legacy_records, *(sys.modules[name] for name in _COMPILED if name in sys.modules)]


def _of_few_headers(inflate: Inflate) -> Inflate:
    return lambda payload: cut_headers(inflate(payload))


def _until_enough(self: FetchResult, max_records: int | None = None) -> list[Any]:
    """Return records like aiokafka's `getall`, but stop at the limit of the current read (a request for records).

    If the read has reached its limit before, no record is returned. Records with too many headers have only the first
    HEADERS_LEFT. aiokafka's function makes two calls for each record. This one avoids them, because every record
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
    if count > MOST_HEADERS:
        record.headers = record.headers[:HEADERS_LEFT]
    if read is None:
        return False
    read.headers += count
    if read.headers > _HEADERS_AT_ONCE:
        read.enough = True
    return read.enough


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
