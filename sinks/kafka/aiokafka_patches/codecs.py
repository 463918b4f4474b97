"""Limits on inflating and compressing batches.

aiokafka inflates batches without a limit, and a compressed batch of a megabyte can inflate to gigabytes. One limit
applies to each batch. Another applies to all batches that a task gets by one request for records.

aiokafka compresses by the slow levels of lz4, whose time depends on the content: up to 60 ms for 256 KiB of text with few
letters, which anyone can send. The fast level takes at most 0.4 ms.
"""

import sys
import zlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

import cramjam
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import FetchResult, PartitionRecords
from aiokafka.record import default_records, legacy_records

from schemas.native_module import module
from sinks.kafka.aiokafka_patches.many_headers import CutRecords, cut_headers
from sinks.kafka.aiokafka_patches.native_batches import ReadRecords, records_of
from sinks.kafka.aiokafka_patches.reads import EnoughError, this_read, until_enough

_FAST: int = 1
_FIRST_BYTES: int = 64 * 1024
_STEP: int = 8
_PIECE_BYTES: int = 16 * 1024
_MOST_MEMBERS: int = 1000
_LEAST_BLOCK: int = 1024
"""Size in bytes of the smallest block that Java's snappy library can be set to.

A flush, and the end of a batch, write shorter blocks.
"""
_COMPILED = ("aiokafka.record._crecords.default_records", "aiokafka.record._crecords.legacy_records")

Inflate = Callable[[bytes], bytes]


def bound_inflation(most_bytes: int) -> None:
    """Make every consumer of this process refuse a batch that inflates to more than `most_bytes`.

    Reading the records of a refused or corrupt batch raises ValueError, as for any other unreadable record.
    """
    bounded = {
        number: _bounded(name, most_bytes, inflate) for number, (name, inflate) in enumerate(_INFLATE.items(), 1)
    }
    for name, inflate in zip(_INFLATE, bounded.values(), strict=True):
        for part in _modules():
            if hasattr(part, f"{name}_decode"):
                with_headers = part.__name__.endswith("default_records")
                setattr(part, f"{name}_decode", _of_few_headers(inflate) if with_headers else inflate)
    FetchResult.getall = until_enough
    fetcher.MemoryRecords = CutRecords
    if module is not None:
        PartitionRecords._consumer_record = records_of  # noqa: SLF001
        ReadRecords.inflate = bounded
        fetcher.MemoryRecords = ReadRecords


def compress_fast() -> None:
    """Make every producer of this process compress by the fast level of lz4, whatever the content."""
    for part in _modules():
        part.lz4_encode = partial(codec.lz4_encode, level=_FAST)  # type: ignore[attr-defined]  # aiokafka is untyped


def _modules() -> list[ModuleType]:
    """Return aiokafka's modules to patch: those that import the decoders by name. Compiled modules may be absent."""
    return [default_records, legacy_records, *(sys.modules[name] for name in _COMPILED if name in sys.modules)]


def _of_few_headers(inflate: Inflate) -> Inflate:
    return lambda payload: cut_headers(inflate(payload))


def _bounded(name: str, most: int, inflate: Callable[[bytes, int], bytes]) -> Inflate:
    def inflate_or_say(payload: bytes) -> bytes:
        read = this_read()
        # The next batch is likely as large as the largest so far.
        if read is not None and read.bytes and read.bytes + read.largest > most:
            read.enough = True
            raise EnoughError
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
"""The decompressors by their names, in the order of their numbers from 1, with the payload and the limit as arguments."""
