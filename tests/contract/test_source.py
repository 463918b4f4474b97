"""What every source of batches does: the same suite on memory and on Kafka."""

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Protocol

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from support.memory.source import MemorySource

from schemas.config.settings import Settings
from schemas.pipeline.record import Batch, TopicPartition
from streams.source.kafka import KafkaSource, OffsetsGone, Source, make_consumer

POLLS = 100


class Broker(Protocol):
    """A log of two partitions, the actions of producers and operators, and a source."""

    one: TopicPartition
    two: TopicPartition
    source: Source

    async def produce(self, source: TopicPartition, values: Sequence[bytes]) -> None: ...
    async def transact(self, source: TopicPartition, values: Sequence[bytes], *, abort: bool = False) -> None: ...
    async def delete_before(self, source: TopicPartition, offset: int) -> None: ...


class MemoryBroker:
    def __init__(self) -> None:
        self.one, self.two = TopicPartition("t", 0), TopicPartition("t", 1)
        self._memory = MemorySource([self.one, self.two])
        self.source: Source = self._memory

    async def produce(self, source: TopicPartition, values: Sequence[bytes]) -> None:
        for value in values:
            self._memory.append(source, value, key=b"k", headers=[("h", b"1"), ("h", None)], timestamp=5)

    async def transact(self, source: TopicPartition, values: Sequence[bytes], *, abort: bool = False) -> None:
        if abort:
            self._memory.leave_hole(source, len(values) + 1)
        else:
            await self.produce(source, values)
            self._memory.leave_hole(source)

    async def delete_before(self, source: TopicPartition, offset: int) -> None:
        self._memory.delete_before(source, offset)


class KafkaBroker:
    def __init__(self, servers: str, topic: str) -> None:
        self.one, self.two = TopicPartition(topic, 0), TopicPartition(topic, 1)
        self._servers, self._topic = servers, topic
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        # The worker's own setting: it decides which records of a transaction are read.
        self._consumer = make_consumer(Settings(kafka_bootstrap_servers=servers, group=topic))
        self.source: Source = KafkaSource(self._consumer)

    async def start(self) -> None:
        await self._admin.start()
        await self._admin.create_topics([NewTopic(self._topic, 2, 1)])
        await self._consumer.start()
        self._consumer.assign([KafkaPartition(*self.one), KafkaPartition(*self.two)])

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._admin.delete_topics([self._topic])
        await self._admin.close()

    async def produce(self, source: TopicPartition, values: Sequence[bytes]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self._servers) as producer:
            await self._send(producer, source, values)

    async def transact(self, source: TopicPartition, values: Sequence[bytes], *, abort: bool = False) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, transactional_id=f"{self._topic}-tx")
        async with producer:
            await producer.begin_transaction()
            await self._send(producer, source, values)
            await (producer.abort_transaction() if abort else producer.commit_transaction())

    async def _send(self, producer: AIOKafkaProducer, source: TopicPartition, values: Sequence[bytes]) -> None:
        for value in values:
            await producer.send_and_wait(
                source.topic,
                value,
                b"k",
                partition=source.partition,
                headers=[("h", b"1"), ("h", None)],
                timestamp_ms=5,
            )

    async def delete_before(self, source: TopicPartition, offset: int) -> None:
        await self._admin.delete_records({KafkaPartition(*source): RecordsToDelete(before_offset=offset)})


@pytest.fixture(params=["memory", "kafka"])
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Broker]:
    if request.param == "memory":
        yield MemoryBroker()
        return
    kafka = KafkaBroker(request.getfixturevalue("stack").kafka, f"{request.getfixturevalue('topic_prefix')}source")
    await kafka.start()
    yield kafka
    await kafka.stop()


async def read(broker: Broker, *sources: TopicPartition, max_records: int = 100, end: int | None = None) -> list[Batch]:
    """Poll until every partition has reached its end or `end`; a transaction's marker may arrive late."""
    ends = await broker.source.ends(sources) if end is None else dict.fromkeys(sources, end)
    found: list[Batch] = []
    for _ in range(POLLS):
        if all(broker.source.position(source) == end for source, end in ends.items()):
            return found
        found += await broker.source.poll(sources, timeout_ms=100, max_records=max_records)
    raise AssertionError(f"the ends {ends} were not reached: {found}")


def values(batches: Sequence[Batch]) -> list[bytes | None]:
    return [record.value for batch in batches for record in batch.records]


def assert_chained(batches: Sequence[Batch], source: TopicPartition, first: int, end: int) -> None:
    mine = [batch for batch in batches if batch.source == source]
    assert [batch.prev for batch in mine] == [first, *(batch.next for batch in mine[:-1])]
    assert mine[-1].next == end
    offsets = [record.offset for batch in mine for record in batch.records]
    assert offsets == sorted(set(offsets))
    assert all(batch.prev <= record.offset < batch.next for batch in mine for record in batch.records)


async def test_batches_continue_one_another(broker: Broker) -> None:
    """Each batch of a partition begins where the previous one ended, and no record is missing."""
    await broker.produce(broker.one, [b"a%d" % index for index in range(7)])
    await broker.produce(broker.two, [b"b%d" % index for index in range(4)])
    for source in (broker.one, broker.two):
        broker.source.rewind(source, 0)
    batches = await read(broker, broker.one, broker.two, max_records=3)
    assert all(len(batch.records) <= 3 for batch in batches)
    assert_chained(batches, broker.one, 0, 7)
    assert_chained(batches, broker.two, 0, 4)
    assert sorted(values(batches)) == sorted([b"a%d" % n for n in range(7)] + [b"b%d" % n for n in range(4)])
    assert sum(batch.skipped for batch in batches) == 0


async def test_a_record_comes_as_the_broker_keeps_it(broker: Broker) -> None:
    """Key, value, ordered headers with repeated names and nulls, offset and producer time are kept."""
    await broker.produce(broker.one, [b"v"])
    broker.source.rewind(broker.one, 0)
    (batch,) = await read(broker, broker.one)
    (record,) = batch.records
    assert (record.topic, record.partition, record.offset) == (*broker.one, 0)
    assert (record.key, record.value, record.timestamp) == (b"k", b"v", 5)
    assert list(record.headers) == [("h", b"1"), ("h", None)]


async def test_rewind_reads_again_from_there(broker: Broker) -> None:
    """After a rewind in either direction, the next batch begins at that offset."""
    await broker.produce(broker.one, [b"0", b"1", b"2"])
    broker.source.rewind(broker.one, 0)
    await read(broker, broker.one)
    broker.source.rewind(broker.one, 1)
    assert broker.source.position(broker.one) == 1
    batches = await read(broker, broker.one)
    assert_chained(batches, broker.one, 1, 3)
    assert values(batches) == [b"1", b"2"]
    broker.source.rewind(broker.one, 2)
    assert values(await read(broker, broker.one)) == [b"2"]


async def test_transaction_markers_are_holes(broker: Broker) -> None:
    """Offsets of transaction markers and aborted records count as skipped."""
    await broker.produce(broker.one, [b"0"])
    await broker.transact(broker.one, [b"1", b"2"])
    await broker.transact(broker.one, [b"never", b"never"], abort=True)
    await broker.produce(broker.one, [b"3"])
    broker.source.rewind(broker.one, 0)
    batches = await read(broker, broker.one, max_records=2, end=8)
    assert values(batches) == [b"0", b"1", b"2", b"3"]
    assert_chained(batches, broker.one, 0, 8)
    assert sum(batch.skipped for batch in batches) == 4


async def test_a_log_that_ends_in_an_aborted_transaction_is_read_to_its_end(broker: Broker) -> None:
    """The position moves past a hole that no record follows."""
    await broker.produce(broker.one, [b"0"])
    await broker.transact(broker.one, [b"never"], abort=True)
    broker.source.rewind(broker.one, 0)
    batches = await read(broker, broker.one, end=3)
    assert values(batches) == [b"0"]
    assert_chained(batches, broker.one, 0, 3)
    assert sum(batch.skipped for batch in batches) == 2


async def test_a_paused_partition_rests_and_goes_on_where_it_stood(broker: Broker) -> None:
    """A resumed partition continues at its offset; others are read meanwhile."""
    await broker.produce(broker.one, [b"1"])
    await broker.produce(broker.two, [b"2"])
    for source in (broker.one, broker.two):
        broker.source.rewind(source, 0)
    broker.source.pause([broker.one])
    found: list[Batch] = []
    for _ in range(POLLS):
        found += await broker.source.poll([broker.one, broker.two], timeout_ms=50, max_records=10)
        if found:
            break
    found += await broker.source.poll([broker.one, broker.two], timeout_ms=100, max_records=10)
    assert values(found) == [b"2"]
    assert broker.source.position(broker.one) == 0
    broker.source.resume([broker.one])
    batches = await read(broker, broker.one)
    assert values(batches) == [b"1"]
    assert_chained(batches, broker.one, 0, 1)


async def test_no_records_give_no_batch(broker: Broker) -> None:
    """At the end of the log a poll is empty and the position stays."""
    broker.source.rewind(broker.one, 0)
    assert await broker.source.poll([broker.one], timeout_ms=50, max_records=10) == []
    assert broker.source.position(broker.one) == 0


async def test_beginnings_and_ends_are_those_of_the_log(broker: Broker) -> None:
    """Retention moves a log's beginning; an empty log begins at its end."""
    await broker.produce(broker.one, [b"0", b"1", b"2"])
    await broker.delete_before(broker.one, 2)
    both = [broker.one, broker.two]
    assert await broker.source.beginnings(both) == {broker.one: 2, broker.two: 0}
    assert await broker.source.ends(both) == {broker.one: 3, broker.two: 0}


async def test_offsets_that_retention_deleted_are_gone(broker: Broker) -> None:
    """The source raises instead of skipping; a rewind to the beginning reads again."""
    await broker.produce(broker.one, [b"0", b"1", b"2"])
    await broker.delete_before(broker.one, 2)
    broker.source.rewind(broker.one, 0)
    with pytest.raises(OffsetsGone):
        await read(broker, broker.one)
    assert broker.source.position(broker.one) == 0
    broker.source.rewind(broker.one, 2)
    batches = await read(broker, broker.one)
    assert values(batches) == [b"2"]
    assert_chained(batches, broker.one, 2, 3)


async def test_an_offset_beyond_the_log_is_gone_too(broker: Broker) -> None:
    """A recreated topic does not hold the requested offset."""
    await broker.produce(broker.one, [b"0"])
    broker.source.rewind(broker.one, 50)
    with pytest.raises(OffsetsGone):
        await read(broker, broker.one)


async def test_partitions_with_a_backlog_take_turns(broker: Broker) -> None:
    """No partition waits until another one is read to its end."""
    both = [broker.one, broker.two]
    for source in both:
        await broker.produce(source, [b"v"] * 40)
        broker.source.rewind(source, 0)
    for source in both:
        # From here on the client has fetched records of both.
        await read(broker, source, max_records=1, end=1)
    batches = await read(broker, *both, max_records=10)
    order = [batch.source for batch in batches][:6]
    assert all(one != following for one, following in pairwise(order)), order
