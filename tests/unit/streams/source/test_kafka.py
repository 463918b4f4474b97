"""Kafka's source with a client that raises: no record is skipped, and one partition's error does not affect others."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import CorruptRecordException, KafkaConnectionError
from support.memory.source import MemoryRecord

from schemas.pipeline.record import TopicPartition
from streams.source import kafka
from streams.source.kafka import HELD_MS, IDLE_HELD_MS, KafkaSource, SourceUnavailable

ONE, TWO = TopicPartition("t", 0), TopicPartition("t", 1)
COUNT = 6


class Client:
    """aiokafka's consumer, reduced: when it raises, drained records are gone and positions have moved."""

    def __init__(self) -> None:
        self.positions: dict[KafkaPartition, int] = {}
        self.away = 0
        self.unreadable: dict[KafkaPartition, int] = {}
        self.rebalancing: asyncio.Event | None = None
        self.silent: asyncio.Event | None = None
        self.sought = 0
        self.most = COUNT
        self._fetcher = SimpleNamespace(_fetch_max_wait_ms=HELD_MS)

    @property
    def held_ms(self) -> int:
        """How long brokers hold the next fetch."""
        return int(self._fetcher._fetch_max_wait_ms)

    def assignment(self) -> set[KafkaPartition]:
        return {KafkaPartition(*ONE), KafkaPartition(*TWO)}

    def seek(self, partition: KafkaPartition, offset: int) -> None:
        self.positions[partition] = offset
        self.sought += 1

    async def position(self, partition: KafkaPartition) -> int:
        return self.positions[partition]

    async def getmany(
        self, *partitions: KafkaPartition, timeout_ms: int, max_records: int
    ) -> dict[KafkaPartition, list[MemoryRecord]]:
        found: dict[KafkaPartition, list[MemoryRecord]] = {}
        if self.silent is not None:
            await self.silent.wait()
        for partition in partitions:
            if records := self._drain(partition, min(self.most, max_records) - sum(map(len, found.values()))):
                found[partition] = records
        if self.rebalancing is not None:
            # aiokafka waits for the next assignment regardless of its time-out.
            await self.rebalancing.wait()
        if self.away:
            self.away -= 1
            raise KafkaConnectionError("reset")
        return found

    def _drain(self, partition: KafkaPartition, most: int) -> list[MemoryRecord]:
        records = []
        while len(records) < most and (offset := self.positions[partition]) < COUNT:
            if self.unreadable.get(partition) == offset:
                raise CorruptRecordException(f"Invalid CRC - {partition}")
            records.append(MemoryRecord(*partition, offset, b"v", b"k", 0, 1, ()))
            self.positions[partition] = offset + 1
        return records


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def source(client: Client) -> KafkaSource:
    source = KafkaSource(client)
    for place in (ONE, TWO):
        source.rewind(place, 0)
    return source


async def read(source: KafkaSource, polls: int = 6) -> dict[TopicPartition, list[int]]:
    """The offsets that are read; each partition's batches continue one another without a hole."""
    offsets: dict[TopicPartition, list[int]] = {ONE: [], TWO: []}
    following = {ONE: 0, TWO: 0}
    for _ in range(polls):
        for batch in await source.poll([ONE, TWO], timeout_ms=0, max_records=4):
            assert batch.prev == following[batch.source]
            following[batch.source] = batch.next
            offsets[batch.source] += [record.offset for record in batch.records]
    return offsets


async def test_what_a_fetch_that_raised_had_drained_is_read_again(client: Client, source: KafkaSource) -> None:
    """Otherwise the gap would look like a hole without records and be skipped."""
    client.away = 2
    for _ in range(2):
        with pytest.raises(SourceUnavailable, match="KafkaConnectionError: reset"):
            await source.poll([ONE, TWO], timeout_ms=0, max_records=4)
    assert await read(source) == {ONE: list(range(COUNT)), TWO: list(range(COUNT))}


@pytest.mark.parametrize(("first", "before"), [(0, []), (3, [0, 1, 2])])
async def test_a_record_that_cannot_be_read_holds_its_own_partition(
    client: Client, source: KafkaSource, first: int, before: Sequence[int]
) -> None:
    """Earlier records are returned, the other partition is read to its end, and nothing is skipped."""
    client.unreadable[KafkaPartition(*TWO)] = first
    assert await read(source) == {ONE: list(range(COUNT)), TWO: before}
    (why,) = source.unreadable().values()
    assert (set(source.unreadable()), why.partition(":")[0]) == ({TWO}, "CorruptRecordException")
    assert source.position(TWO) == first


async def test_a_poll_ends_in_time_while_the_group_rebalances(client: Client, source: KafkaSource) -> None:
    """The next assignment waits for the polling lane, so the poll must end; no record is skipped."""
    client.rebalancing = asyncio.Event()
    async with asyncio.timeout(20):
        assert await source.poll([ONE, TWO], timeout_ms=10, max_records=4) == []
    client.rebalancing = None
    assert await read(source) == {ONE: list(range(COUNT)), TWO: list(range(COUNT))}


async def test_a_poll_that_is_over_leaves_what_was_fetched(client: Client, source: KafkaSource) -> None:
    """A poll that ends by its time-out keeps fetched records, so no seek fetches them again."""
    client.silent = asyncio.Event()
    sought = client.sought
    async with asyncio.timeout(20):
        assert await source.poll([ONE, TWO], timeout_ms=10, max_records=4) == []
    client.silent = None
    assert await read(source) == {ONE: list(range(COUNT)), TWO: list(range(COUNT))}
    assert client.sought == sought


async def test_a_partition_that_fills_a_read_comes_after_the_others(source: KafkaSource) -> None:
    """In the next read the other partitions come first."""
    source.rewind(TWO, COUNT - 1)
    read = []
    for _ in range(4):
        batches = await source.poll([ONE, TWO], timeout_ms=0, max_records=2)
        read.append({batch.source.partition: len(batch.records) for batch in batches})
    assert read == [{0: 2}, {0: 1, 1: 1}, {0: 2}, {0: 1}]


async def test_a_partition_that_ends_a_read_before_its_time_comes_after_the_others(
    client: Client, source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record's decompressed size may be all that one read takes."""
    client.most = 1
    monkeypatch.setattr("streams.source.kafka.had_enough", lambda: True)
    read = []
    for _ in range(6):
        read += [batch.source.partition for batch in await source.poll([ONE, TWO], timeout_ms=0, max_records=2)]
    assert read == [0, 1, 0, 1, 0, 1]


async def test_brokers_hold_fetches_for_long_only_while_no_records_come(
    client: Client, source: KafkaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker without events takes little time, and a busy one waits for no partition."""
    held = []
    for idle_seconds in (0.0, 100.0, 100.0, 0.0):
        monkeypatch.setattr(kafka, "IDLE_SECONDS", idle_seconds)
        await source.poll([ONE, TWO], timeout_ms=0, max_records=4)
        held.append(client.held_ms)

    assert held == [IDLE_HELD_MS, HELD_MS, HELD_MS, IDLE_HELD_MS]
