"""A batch on Kafka whose records have the offsets of others' records: the others are read, whatever a read returns."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.protocol.produce import ProduceRequest
from support.memory.fetched import at_offsets

from schemas.config.settings import Settings
from schemas.pipeline.record import TopicPartition
from streams.source.kafka import KafkaSource, taking

COUNT = 20
POLLS = 50


@pytest.fixture
async def topic(stack: Any, topic_prefix: str) -> AsyncIterator[str]:
    name = f"{topic_prefix}offsets"
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    yield name
    await admin.delete_topics([name])
    await admin.close()


async def produce(servers: str, topic: str, batch: bytes) -> None:
    """Send the batch as it is, and others' records behind it."""
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        await producer.partitions_for(topic)
        leader = producer.client.cluster.leader_for_partition(KafkaPartition(topic, 0))
        answer = await producer.client.send(leader, ProduceRequest(None, -1, 10_000, [(topic, [(0, batch)])]))
        assert answer.topics[0][1][0][1] == 0
        for number in range(COUNT):
            await producer.send_and_wait(topic, b"%d" % number, partition=0)


async def read_all(source: KafkaSource, log: TopicPartition, most: int) -> list[int]:
    """Read to the end like a lane; an operator skips the rest of an unreadable batch."""
    found: list[int] = []
    for _ in range(POLLS):
        for batch in await source.poll([log], timeout_ms=100, max_records=most):
            found += [record.offset for record in batch.records]
        if source.unreadable():
            source.rewind(log, await source.batch_end(log, source.position(log) or 0))
        if found and found[-1] == 2 + COUNT:
            break
    return found


@pytest.mark.parametrize("natively", [False, True])
@pytest.mark.parametrize("most", [2, 1000])
@pytest.mark.parametrize("deltas", [(0, 1, 15), (0, 15, 16)], ids=["the last", "most"])
async def test_no_record_behind_such_a_batch_is_skipped(
    stack: Any, topic: str, deltas: tuple[int, ...], most: int, *, natively: bool
) -> None:
    """The broker accepts the batch, and its records would move the client behind the others."""
    await produce(stack.kafka, topic, at_offsets(*deltas))
    settings, log = Settings(kafka_bootstrap_servers=stack.kafka, native_reader=natively), TopicPartition(topic, 0)
    async with taking(settings, [log]) as source:
        source.rewind(log, 0)
        found = await read_all(source, log, most)

    assert found == sorted(set(found))
    assert found[-COUNT:] == list(range(3, 3 + COUNT))
