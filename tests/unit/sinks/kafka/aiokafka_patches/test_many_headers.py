"""Uncompressed records of very many headers are cut before the client parses them; all else is read as before."""

import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record import MemoryRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from sinks.kafka.aiokafka_patches.many_headers import CutRecords, with_records

FIELDS = (
    "base_offset", "magic", "attributes", "compression_type", "timestamp_type", "is_transactional", "is_control_batch",
    "last_offset_delta", "first_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence",
    "next_offset",
)  # fmt: skip


def built(*headers: int, value: bytes = b"v", compression: int = 0) -> bytes:
    """A batch of records with these numbers of empty headers, from offset 7 on."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=compression, is_transactional=1, producer_id=5, producer_epoch=6, base_sequence=8,
        batch_size=2**24,
    )  # fmt: skip
    for offset, count in enumerate(headers):
        builder.append(offset, 1000 + offset, b"k%d" % offset, value, [("", None)] * count)
    return (7).to_bytes(8) + bytes(builder.build())[8:]


def legacy(size: int) -> bytes:
    """A batch of the older format, which has no headers."""
    builder = LegacyRecordBatchBuilder(1, 0, 2**24)
    builder.append(0, 1, b"k", bytes(size))
    return bytes(builder.build())


def read(batches: Any) -> Iterator[Any]:
    """Yield the batches."""
    while batches.has_next():
        yield batches.next_batch()


def contents(batch: Any) -> Sequence[tuple[Any, ...]]:
    """The records of a batch."""
    return [(one.offset, one.timestamp, one.key, one.value, list(getattr(one, "headers", ()))) for one in batch]


@pytest.mark.parametrize("others", [(), (3, 10_000), (10_001, 3, 50_000)])
def test_the_client_parses_few_headers_of_an_uncompressed_record(
    others: tuple[int, ...],
) -> None:
    """A record of 490,000 empty headers took the worker 40 ms. Its batch is otherwise unchanged."""
    data = built(490_000, *others)
    (cut,), (whole,) = read(CutRecords(data)), read(MemoryRecords(data))

    assert cut.validate_crc()
    assert {name: getattr(cut.batch, name) for name in FIELDS} == {name: getattr(whole, name) for name in FIELDS}
    assert contents(cut) == [
        (*fields, headers[:1025] if len(headers) > 10_000 else headers) for *fields, headers in contents(whole)
    ]


def test_every_other_batch_is_read_as_before() -> None:
    """Short, large, compressed and old batches, in any order, and a last one that has not arrived whole."""
    some = [
        built(3), built(*[20] * 900), built(2, value=bytes(50_000)), built(10_000), built(9000, compression=4),
        built(1, value=bytes(2_000_000)),
    ]  # fmt: skip
    for order in (some, some[::-1], [legacy(30_000), legacy(1)]):
        data = b"".join(order) + order[0][:-1]
        cut = CutRecords(data)
        assert cut.size_in_bytes() == MemoryRecords(data).size_in_bytes()
        assert list(map(contents, read(cut))) == list(map(contents, read(MemoryRecords(data))))


def test_a_corrupt_batch_is_still_found_corrupt() -> None:
    """The new checksum of a cut batch hides no corruption."""
    data = bytearray(built(490_000))
    data[data.index(b"k0")] ^= 1
    (batch,) = read(CutRecords(bytes(data)))
    assert not batch.validate_crc()


def test_a_false_length_hides_no_headers_in_a_batch_larger_than_kafkas_default() -> None:
    """The client parses 1025 headers before it finds the record invalid, not 600,000, which take 80 MB."""
    sound = built(600_000)
    # The record's length has four bytes; the false one is 20.
    (batch,) = read(CutRecords(with_records(sound[:61], b"\x28" + sound[61 + 4 :])))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptRecordException):
            contents(batch)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024
