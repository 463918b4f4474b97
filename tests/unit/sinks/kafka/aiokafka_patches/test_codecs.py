"""Compressed batches decompress as before up to the limit; larger and invalid ones are refused."""

import asyncio
import gzip
import os
import random
import tracemalloc

import cramjam
import pytest
from aiokafka import codec
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from support.memory.fetched import Fetched, built

from schemas.config.settings import Settings
from sinks.kafka.aiokafka_patches import codecs as kafka_codecs
from sinks.kafka.aiokafka_patches.codecs import bound_inflation
from sinks.kafka.aiokafka_patches.reads import count_anew, had_enough
from sinks.kafka.producer import make_producer
from streams.pipeline.decode import decode

MOST = 1024 * 1024
CODECS = ("gzip", "snappy", "lz4", "zstd")
# A fixed seed: random bytes might otherwise declare as many headers as no batch may have.
NOISE = random.Random(1).randbytes
SOUND = [b"x", b"abc" * 100_000, NOISE(1000), NOISE(MOST), bytes(MOST)]


def inflate(name: str, payload: bytes) -> bytes:
    """Decompress as the reader of a batch does."""
    return bytes(getattr(default_records, f"{name}_decode")(payload))


def deflate(name: str, content: bytes) -> bytes:
    return bytes(getattr(codec, f"{name}_encode")(content))


@pytest.mark.parametrize("name", CODECS)
def test_what_the_library_deflates_comes_back(name: str) -> None:
    for content in SOUND:
        assert inflate(name, deflate(name, content)) == content


@pytest.mark.parametrize("name", CODECS)
def test_a_bomb_is_refused_and_never_inflated(name: str) -> None:
    """The size is one byte or a hundredfold over the limit, and allocations are limited too."""
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
    """The error neither looks like a Kafka outage nor ends the worker."""
    for payload in (junk, deflate(name, os.urandom(5000))[:-30]):
        with pytest.raises(ValueError, match=f"can.t be decompressed as {name}"):
            inflate(name, payload)


def test_forms_that_other_clients_write() -> None:
    """These are snappy without Java's blocks and gzip of several members."""
    assert inflate("snappy", bytes(cramjam.snappy.compress_raw(b"plain" * 99))) == b"plain" * 99
    assert inflate("gzip", gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0)) == b"onetwo"
    with pytest.raises(ValueError, match="inflates to more than"):
        inflate("gzip", gzip.compress(bytes(MOST), mtime=0) + gzip.compress(b"x", mtime=0))


ZSTD = 4


async def test_a_read_inflates_less_than_two_batches_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch is decompressed twice, and the next read continues after the last one."""
    inflations = counted(monkeypatch)
    half, whole = built((bytes(MOST // 2 - 100), 0), compression=ZSTD), built((bytes(MOST - 100), 0), compression=ZSTD)
    fetched, other = Fetched(half, half, half, whole, whole, built((b"x", 0), compression=ZSTD)), Fetched(half)
    reads = []
    while fetched.position < 6:
        count_anew()
        reads.append(len(fetched.read()))
        assert had_enough() == (fetched.position < 6)
        # Another partition of the same read: its fetched records stay for the next one.
        assert not had_enough() or (other.read(), other.holds) == ([], True)
        assert fetched.position == sum(reads)
    assert (reads, len(inflations)) == ([2, 2, 1, 1], 6)
    count_anew()
    assert len(other.read()) == 1


async def test_a_task_that_counts_no_read_reads_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other consumers of the process are not affected by the worker's reads."""
    whole = built((bytes(MOST - 100), 0), compression=ZSTD)
    count_anew()
    Fetched(whole, whole).read()
    assert had_enough()

    async def read() -> int:
        return len(Fetched(whole, whole, whole).read())

    assert await asyncio.create_task(read()) == 3


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of each zstd decompression."""
    inflations = []
    inflate = cramjam.zstd.decompress_into

    def inflate_into(payload: bytes, buffer: bytearray) -> int:
        size = int(inflate(payload, buffer))
        inflations.append(size)
        return size

    monkeypatch.setattr(kafka_codecs.cramjam.zstd, "decompress_into", inflate_into)
    bound_inflation(MOST)
    return inflations


def test_a_batch_gets_no_more_room_than_eight_times_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers are zeroed, so one of the maximum size per batch would be the largest cost."""
    sizes = []

    def inflate_into(payload: bytes, buffer: bytearray) -> int:
        sizes.append(len(buffer))
        return int(inflate(payload, buffer))

    inflate = cramjam.zstd.decompress_into
    monkeypatch.setattr(kafka_codecs.cramjam.zstd, "decompress_into", inflate_into)
    bound_inflation(16 * MOST)
    assert len(default_records.zstd_decode(deflate("zstd", bytes(MOST)))) == MOST
    assert max(sizes) <= 8 * MOST


def test_the_compiled_readers_are_bounded_too() -> None:
    """aiokafka's compiled readers have separate names and do the actual work."""
    compiled = pytest.importorskip("aiokafka.record._crecords.default_records")
    with pytest.raises(ValueError, match="inflates to more than"):
        compiled.zstd_decode(deflate("zstd", bytes(2 * MOST)))


def test_gzip_may_have_a_thousand_members_of_any_length() -> None:
    """Each member costs the same; a batch with more is refused without reading them all."""
    member, long = gzip.compress(b"x", mtime=0), gzip.compress(random.Random(1).randbytes(40_000), mtime=0)
    assert inflate("gzip", member * 999 + long)[:999] == b"x" * 999
    with pytest.raises(ValueError, match="more than 1000 gzip members"):
        inflate("gzip", member * 24_000)


def snappy_blocks(*blocks: bytes) -> bytes:
    """The content in the framing of Java's library."""
    packed = [bytes(cramjam.snappy.compress_raw(block)) for block in blocks]
    framed = b"".join(len(one).to_bytes(4, "big") + one for one in packed)
    return b"\x82SNAPPY\x00" + (1).to_bytes(4, "big") * 2 + framed


def test_snappy_may_have_as_many_blocks_as_java_writes() -> None:
    """A block per KiB and a thousand shorter ones pass; more are refused without reading them all."""
    assert inflate("snappy", snappy_blocks(*[b"x" * 1024] * (MOST // 1024), *[b""] * 1000)) == b"x" * (
        MOST // 1024 * 1024
    )
    assert inflate("snappy", snappy_blocks(*[b"x"] * 1000)) == b"x" * 1000
    with pytest.raises(ValueError, match=f"more than {MOST // 1024 + 1000} snappy blocks"):
        inflate("snappy", snappy_blocks(*[b""] * 198_000))


def varint(value: int) -> bytes:
    """The number in the encoding of Kafka's records."""
    zigzag, written = (value << 1) ^ (value >> 63), bytearray()
    while zigzag > 0x7F:
        written.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    return bytes([*written, zigzag])


def a_record(headers: int, value: bytes = b"") -> bytes:
    """A record with `headers` empty headers."""
    body = b"\0\0\0" + varint(-1) + varint(len(value)) + value + varint(headers) + b"\0\1" * headers
    return varint(len(body)) + body


HUGE = 199_000
FLOODS = {
    "a small batch": [(b"flood", HUGE)],
    "beside sound ones": [(b"one", 3), (b"flood", HUGE), (b"two", 0), (b"flood", 10_001), (b"three", 10_000)],
    "a large batch": [(b"one", 3), (bytes(500_000), 2), (b"flood", 1_000_000), (b"two", 1)],
}


@pytest.mark.parametrize("compression", [0, 1, 2, 3, ZSTD])
@pytest.mark.parametrize("records", FLOODS.values(), ids=FLOODS)
async def test_a_record_of_very_many_headers_comes_with_few_of_them(
    records: list[tuple[bytes, int]], compression: int
) -> None:
    """The record keeps one header more than the limit; other records and fields are unchanged."""
    bound_inflation(16 * MOST)
    found = Fetched(built(*records, compression=compression)).read()
    assert [(record.offset, record.key, record.value) for record in found] == [
        (offset, b"k", value) for offset, (value, _) in enumerate(records)
    ]
    assert [len(record.headers) for record in found] == [
        1025 if headers > 10_000 else headers for _, headers in records
    ]


def test_the_client_reads_uncompressed_batches_cut() -> None:
    """test_many_headers.py tests how they are cut."""
    (record,) = fetcher.MemoryRecords(built((b"flood", HUGE))).next_batch()
    assert len(record.headers) == 1025


@pytest.mark.parametrize("name", CODECS)
def test_headers_that_are_cut_are_never_read(name: str) -> None:
    """The client never parses them: a record of 130 bytes in Kafka could take it 0.1 s."""
    for sound in (b"", a_record(2, bytes(500_000))):
        flood = inflate(name, deflate(name, sound + a_record(HUGE, b"v") + a_record(1)))
        assert flood == sound + a_record(1025, b"v") + a_record(1)


@pytest.mark.parametrize(
    "batch",
    [
        b"\x80" * MOST,
        b"\xfe\xff\x01" + b"\x80" * (MOST // 2),
        b"\xfe\xff\x01\0\0\0\1\1" + b"\xfe\xff\xff\x01" + b"\0\1" * 20_000,
        b"\xfe\xff\x01\0\0\0\1\1" + b"\xa0\xf7\x36" + b"\0\xff" * 20_000,
    ],
    ids=["an endless number", "an endless attribute", "a count that is a lie", "lengths that are a lie"],
)
def test_what_is_no_batch_is_left_to_the_client(batch: bytes) -> None:
    """Invalid data stays unchanged, and the reader raises the error."""
    assert inflate("zstd", deflate("zstd", batch)) == batch


async def test_headers_of_one_read_are_bounded_whatever_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read ends at the limit, and the next one continues in the same decompressed batch."""
    inflations = counted(monkeypatch)
    batch = built(*[(b"v", 6000)] * 20, *[(b"v", 16)] * 10, compression=ZSTD)
    fetched, reads = Fetched(batch), []
    for _ in range(3):
        count_anew()
        reads.append(len(fetched.read()))
        assert fetched.position == sum(reads)
    assert (reads, len(inflations)) == ([9, 9, 12], 1)


def test_a_batch_of_very_many_records_is_refused() -> None:
    """A record costs more than its bytes, and no batch of 8 MiB has as many events."""
    bound_inflation(2 * MOST)
    many = a_record(0) * 150_000
    assert inflate("zstd", deflate("zstd", many)) == many
    with pytest.raises(ValueError, match="more than 150000 records"):
        inflate("zstd", deflate("zstd", many + a_record(0)))
    shortest = b'{"event_id":"1","site_id":1,"script_id":"a","event_type":"a","occurred_at":0}'
    assert decode(shortest, None).event_id == "1"
    assert 8 * 1024 * 1024 / len(a_record(0, shortest)) < 0.7 * 150_000


@pytest.mark.parametrize("part", ["aiokafka.record.default_records", "aiokafka.record._crecords.default_records"])
async def test_producers_compress_by_the_fast_level(part: str) -> None:
    """The level of aiokafka takes a hundred times as long for text of two letters, which anyone can send."""
    compiled = pytest.importorskip(part)
    await make_producer(Settings(kafka_bootstrap_servers="127.0.0.1:1")).stop()
    letters = bytes(random.Random(1).choices(b"ab", k=256 * 1024))
    fast = cramjam.lz4.Compressor(level=1, content_checksum=False, block_linked=False)
    fast.compress(letters)

    assert compiled.lz4_encode(letters) == bytes(fast.finish())
    assert inflate("lz4", compiled.lz4_encode(letters)) == letters
