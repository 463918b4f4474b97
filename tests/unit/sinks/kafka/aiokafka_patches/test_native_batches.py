"""Records that the native module makes are those of the Kafka client, whatever the batch."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import KafkaError
from hypothesis import given, settings
from hypothesis import strategies as st
from support.memory.fetched import Content, Fetched, batch_of, built

from schemas.native_module import module
from sinks.kafka.aiokafka_patches.many_headers import with_records
from sinks.kafka.aiokafka_patches.reads import count_anew, had_enough

pytestmark = pytest.mark.skipif(module is None, reason="the native module is not installed")

MOST = 1024 * 1024
HEAD = 61
PLAIN, ZSTD = 0, 4
FEW = st.binary(max_size=200)
HEADERS = st.lists(st.tuples(st.text(max_size=20), st.none() | FEW), max_size=18)
RECORDS = st.lists(st.tuples(st.none() | FEW, st.none() | FEW, HEADERS), min_size=1, max_size=8)
ORDINARY: Content = (b"1:e", b'{"a": 1}', [("bridge-site-id", b"1"), ("other", None)])


class Reads(NamedTuple):
    """What some reads return, with the position after each, and the error that ended them."""

    records: list[tuple[object, ...]]
    positions: list[int]
    error: str
    natively: set[bool]


def facts(record: Any) -> tuple[object, ...]:
    return (
        record.topic, record.partition, record.offset, record.timestamp, record.timestamp_type, record.key, record.value,
        tuple(record.headers),
    )  # fmt: skip


def reads(batches: list[bytes], bases: list[int], begin: int, most: int, *, natively: bool) -> Reads:
    """Read until nothing is left, at most so many records at a time."""

    async def read() -> Reads:
        log = Fetched(*batches, bases=bases, begin=begin)
        found: list[Any] = []
        positions = []
        error = ""
        while True:
            count_anew(natively=natively)
            try:
                found += log.read(most)
            except (KafkaError, ValueError) as failed:
                error = f"{type(failed).__name__}: {failed}"
                break
            positions.append(log.position)
            if not log.holds:
                break
        return Reads(list(map(facts, found)), positions, error, {isinstance(one, module.Record) for one in found})

    return asyncio.run(read())


def assert_same(batches: list[bytes], bases: list[int], begin: int, most: int) -> Reads:
    client = reads(batches, bases, begin, most, natively=False)
    own = reads(batches, bases, begin, most, natively=True)
    assert own[:3] == client[:3]
    assert client.natively <= {False}
    return own


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4), st.integers(0, 4), st.integers(0, 30), st.integers(1, 12))
def test_records_and_positions_are_those_of_the_client(
    contents: list[list[Content]], compression: int, begin: int, most: int
) -> None:
    """A read may begin within a batch and end within one."""
    bases, following = [], 0
    for content in contents:
        bases.append(following)
        # Offsets may be absent between batches.
        following += len(content) + 2
    assert_same([batch_of(one, compression, 1_700_000_000_000) for one in contents], bases, min(begin, bases[-1]), most)


@settings(deadline=None, max_examples=400)
@given(
    RECORDS,
    st.lists(st.tuples(st.integers(17, 400), st.integers(0, 255)), min_size=1, max_size=3),
    st.integers(0, 2),
)
def test_a_damaged_batch_has_the_records_and_the_error_of_the_client(
    content: list[Content], changes: list[tuple[int, int]], cut: int
) -> None:
    """The client's checksums are off in this test, so that the damage reaches the records."""
    batch = bytearray(batch_of(content))
    for at, byte in changes:
        # The compression is left out, because another one only says that it can't be decompressed.
        if at < len(batch) and at not in (21, 22):
            batch[at] = byte
    if cut and len(batch) > HEAD + cut:
        del batch[-cut:]
        batch[8:12] = (len(batch) - 12).to_bytes(4, "big")
    assert_same([bytes(batch), batch_of([ORDINARY])], [0, 50], 0, 3)


@pytest.mark.parametrize("compression", range(5))
def test_ordinary_batches_are_read_natively(compression: int) -> None:
    own = assert_same([batch_of([ORDINARY] * 5, compression), batch_of([ORDINARY], compression)], [0, 5], 2, 2)
    assert own.natively == {True}
    assert own.positions == [4, 6, 6]


def test_times_of_the_broker_are_those_of_the_batch() -> None:
    batch = bytearray(batch_of([ORDINARY] * 3, time_ms=1_700_000_000_000))
    batch[22] |= 8
    own = assert_same([bytes(batch)], [0], 0, 10)
    assert {record[3:5] for record in own.records} == {(1_700_000_000_002, 1)}


@pytest.mark.parametrize(
    "records",
    [
        [(b"v", 17)],
        [(b"v", 1), (b"flood", 199_000)],
    ],
    ids=["more headers than usual", "very many headers"],
)
@pytest.mark.parametrize("compression", [PLAIN, ZSTD])
def test_many_headers_are_left_to_the_client(records: list[tuple[bytes, int]], compression: int) -> None:
    """The client's limits on headers hold."""
    own = assert_same([built(*records, compression=compression)], [0], 0, 10)
    assert own.natively == {False}


async def test_a_batch_that_is_left_is_inflated_once() -> None:
    """Otherwise it would count twice towards the limit of a read."""
    large = built((bytes(MOST // 2 - 400), 17), compression=ZSTD)
    count_anew(natively=True)

    assert len(Fetched(large, large).read()) == 2
    assert not had_enough()


def test_control_batches_are_left_to_the_client() -> None:
    """Their records are no events, and the client does not return them."""
    batch = bytearray(batch_of([(b"\0\0\0\1", b"\0\0\0\0\0\0", [])]))
    batch[22] |= 0x30
    own = assert_same([bytes(batch), batch_of([ORDINARY])], [0, 1], 0, 10)
    assert [record[2] for record in own.records] == [1]


async def test_names_of_headers_are_found_without_the_headers() -> None:
    """Records of the client may always have the header."""
    known = Fetched(batch_of([ORDINARY])).read()
    count_anew(natively=True)
    found = Fetched(batch_of([ORDINARY])).read()

    assert module.naming(found, "other") == found
    assert module.naming(found, "others") == []
    assert module.naming(known, "others") == known


def one(delta: int, *, length: int | None = None, attributes: int = 0, name: bytes = b"n") -> bytes:
    """A record with a header, at this distance from the batch's offset. Its numbers are short, and written as their double."""
    body = bytes([attributes, 0, 2 * delta, 1, 2]) + b"v" + bytes([2, 2 * len(name)]) + name + bytes([2]) + b"x"
    return bytes([2 * (len(body) if length is None else length)]) + body


@pytest.mark.parametrize(
    ("records", "natively"),
    [
        ([one(0), one(1), one(3)], True),
        ([one(1), one(0)], False),
        ([one(0), one(0)], False),
        ([one(0), one(9)], False),
        ([one(0), one(1, length=10)], False),
        ([one(0), one(1, length=12)], False),
        ([one(0), one(1), b"\0"], False),
        ([one(0), one(1, name=b"\xff")], False),
        ([one(0), one(1)[:-1]], False),
    ],
    ids=["usual", "falling", "equal", "beyond", "shorter", "longer", "rest", "name", "cut"],
)
def test_unusual_records_are_left_to_the_client(records: list[bytes], *, natively: bool) -> None:
    """Whether the client returns them or raises an error."""
    head = bytearray(batch_of([ORDINARY])[:HEAD])
    head[23:27] = (3).to_bytes(4, "big")
    head[57:61] = len([record for record in records if record != b"\0"]).to_bytes(4, "big")
    own = assert_same([with_records(bytes(head), b"".join(records))], [0], 0, 10)
    assert own.natively <= {natively}
    assert natively != bool(own.error)
