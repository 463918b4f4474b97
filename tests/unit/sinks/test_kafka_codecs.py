"""Compressed batches inflate as ever up to the bound; beyond it, and when they are no sound compression, they don't."""

import asyncio
import gzip
import os
import random
import tracemalloc
from collections.abc import Iterator

import cramjam
import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka import codec
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record import MemoryRecords, default_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sinks import kafka_codecs
from sinks.kafka_codecs import TooMuchAtOnce, bound_inflation, count_anew

MOST = 1024 * 1024
CODECS = ("gzip", "snappy", "lz4", "zstd")
# Of a fixed seed: what is no batch may by chance state as many headers as no batch may have.
NOISE = random.Random(1).randbytes
SOUND = [b"x", b"abc" * 100_000, NOISE(1000), NOISE(MOST), bytes(MOST)]


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    before = {
        (module, name): getattr(module, name)
        for module in kafka_codecs._modules()
        for name in kafka_codecs._NAMES
        if hasattr(module, name)
    }
    bound_inflation(MOST)
    yield
    for (module, name), function in before.items():
        setattr(module, name, function)


def inflate(name: str, payload: bytes) -> bytes:
    """As whoever reads a batch does."""
    return bytes(getattr(default_records, f"{name}_decode")(payload))


def deflate(name: str, content: bytes) -> bytes:
    return bytes(getattr(codec, f"{name}_encode")(content))


@pytest.mark.parametrize("name", CODECS)
def test_what_the_library_deflates_comes_back(name: str) -> None:
    for content in SOUND:
        assert inflate(name, deflate(name, content)) == content


@pytest.mark.parametrize("name", CODECS)
def test_a_bomb_is_refused_and_never_inflated(name: str) -> None:
    """By a byte or a hundredfold; what is allocated meanwhile is bounded too."""
    bomb = deflate(name, bytes(100 * MOST))
    tracemalloc.start()
    try:
        for payload in (deflate(name, bytes(MOST + 1)), bomb):
            with pytest.raises(ValueError, match=f"inflates to more than {MOST} bytes"):
                inflate(name, payload)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * MOST


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("junk", [b"", b"junk", bytes(50)])
def test_what_is_no_compression_is_said_so(name: str, junk: bytes) -> None:
    """Not by an error that would pass for Kafka being away, nor by one that would end the worker."""
    for payload in (junk, deflate(name, os.urandom(5000))[:-30]):
        with pytest.raises(ValueError, match=f"no sound {name}"):
            inflate(name, payload)


def test_forms_that_other_clients_write() -> None:
    """Snappy without Java's blocks, and gzip of several members."""
    assert inflate("snappy", bytes(cramjam.snappy.compress_raw(b"plain" * 99))) == b"plain" * 99
    assert inflate("gzip", gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0)) == b"onetwo"
    with pytest.raises(ValueError, match="inflates to more than"):
        inflate("gzip", gzip.compress(bytes(MOST), mtime=0) + gzip.compress(b"x", mtime=0))


async def test_several_batches_of_one_read_are_bounded_together() -> None:
    """One alone may take it all; another task's reading, and the next read, count by themselves."""
    half, whole = deflate("zstd", bytes(MOST // 2)), deflate("zstd", bytes(MOST))
    count_anew()
    inflate("zstd", whole)
    with pytest.raises(TooMuchAtOnce, match=f"more than {MOST} bytes"):
        inflate("zstd", deflate("zstd", b"x"))
    await asyncio.create_task(_read(whole))
    count_anew()
    inflate("zstd", half)
    inflate("zstd", half)
    with pytest.raises(TooMuchAtOnce):
        inflate("gzip", deflate("gzip", b"x"))


async def _read(payload: bytes) -> None:
    count_anew()
    inflate("zstd", payload)


def test_the_compiled_readers_are_bounded_too() -> None:
    """They have names of their own, and are what really reads."""
    compiled = pytest.importorskip("aiokafka.record._crecords.default_records")
    with pytest.raises(ValueError, match="inflates to more than"):
        compiled.zstd_decode(deflate("zstd", bytes(2 * MOST)))


def test_gzip_may_have_a_thousand_members_of_any_length() -> None:
    """Each costs the same, however much lies behind it; beyond that the batch is refused without reading them all."""
    member, long = gzip.compress(b"x", mtime=0), gzip.compress(random.Random(1).randbytes(40_000), mtime=0)
    assert inflate("gzip", member * 999 + long)[:999] == b"x" * 999
    with pytest.raises(ValueError, match="more than 1000 gzip members"):
        inflate("gzip", member * 24_000)


def varint(value: int) -> bytes:
    """As Kafka writes numbers in a record."""
    zigzag, written = (value << 1) ^ (value >> 63), bytearray()
    while zigzag > 0x7F:
        written.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*written, zigzag])


def a_record(headers: int, value: bytes = b"") -> bytes:
    """One with so many empty headers."""
    body = b"\0\0\0" + varint(-1) + varint(len(value)) + value + varint(headers) + b"\0\1" * headers
    return varint(len(body)) + body


@pytest.mark.parametrize("name", CODECS)
def test_a_batch_whose_records_have_very_many_headers_is_refused(name: str) -> None:
    """Two bytes each in Kafka, and thirty times as much in memory: however they are spread over its records."""
    sound = a_record(100_000, os.urandom(100 * 1024)) + a_record(10_000) * 10
    assert inflate(name, deflate(name, sound)) == sound
    for batch in (sound + a_record(1), a_record(200_001), a_record(15) * 13_334):
        with pytest.raises(ValueError, match="more than 200000 headers"):
            inflate(name, deflate(name, batch))


async def test_headers_of_one_read_are_bounded_whatever_the_batch() -> None:
    """Also in short batches, and in those that are not compressed: fewer records at once are read."""

    def read(*headers: int) -> list[int]:
        builder = DefaultRecordBatchBuilder(
            magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
            batch_size=2**21,
        )  # fmt: skip
        for offset, count in enumerate(headers):
            builder.append(offset, 0, None, b"", [("", None)] * count)
        records = MemoryRecords(bytes(builder.build()))
        count_anew()
        found = PartitionRecords(KafkaPartition("t", 0), records, [], 0, None, None, True, READ_COMMITTED)
        return [len(record.headers) for record in found]

    for counts in ((150_000, 50_000, 16), (250_000,)):
        assert read(*counts) == [*counts]
    with pytest.raises(TooMuchAtOnce, match="more than 200000 headers"):
        read(150_000, 50_000, 17)


def test_a_batch_of_very_many_records_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs more than its bytes."""
    monkeypatch.setattr(kafka_codecs, "_MOST_RECORDS", 80_000)
    with pytest.raises(ValueError, match="more than 80000 records"):
        inflate("zstd", deflate("zstd", a_record(0) * 90_000))
    assert inflate("zstd", deflate("zstd", a_record(0) * 79_000))
