"""Kafka's source with records that decompress to many times their size and records with very many headers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import cramjam
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.config.settings import Settings
from schemas.pipeline.record import Batch, TopicPartition
from sinks.kafka.aiokafka_patches import codecs as kafka_codecs
from streams.source.kafka import KafkaSource, taking

MOST = 1024 * 1024
LARGE = bytes(MOST - 1024)
"""The largest value of a batch that can be read."""
COUNT = 12
POLLS = 200
IDLE = 8
"""The number of empty polls of other lanes between two polls of the reading one."""


class Place:
    """A topic of three partitions and its producer."""

    def __init__(self, servers: str, topic: str) -> None:
        self.one, self.two, self.idle = (TopicPartition(topic, partition) for partition in range(3))
        self.topic = topic
        self.settings = Settings(kafka_bootstrap_servers=servers, group=topic, inflate_max_bytes=MOST)

    async def send(self, source: TopicPartition, values: Sequence[bytes], headers: int = 0, **more: Any) -> None:
        """Produce each value in a batch of its own."""
        async with AIOKafkaProducer(
            bootstrap_servers=self.settings.brokers, max_request_size=16 * MOST, **more
        ) as producer:
            for value in values:
                await producer.send_and_wait(
                    source.topic, value, partition=source.partition, headers=[("", None)] * headers
                )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[KafkaSource]:
        partitions = [self.one, self.two, self.idle]
        async with taking(self.settings, partitions) as source:
            for one in partitions:
                source.rewind(one, 0)
            yield source


@pytest.fixture
async def place(stack: Any, topic_prefix: str) -> AsyncIterator[Place]:
    made = Place(stack.kafka, f"{topic_prefix}bounds")
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.create_topics([NewTopic(made.topic, 3, 1)])
    yield made
    await admin.delete_topics([made.topic])
    await admin.close()


async def read(source: KafkaSource, lane: Sequence[TopicPartition], idle: TopicPartition, count: int) -> list[Batch]:
    """Poll until the lane's partitions have given `count` records, while other lanes' polls find nothing."""
    found: list[Batch] = []
    for _ in range(POLLS):
        found += await source.poll(lane, timeout_ms=100, max_records=1000)
        if sum(len(batch.records) for batch in found) >= count:
            return found
        for _ in range(IDLE):
            assert await source.poll([idle], timeout_ms=0, max_records=1000) == []
    raise AssertionError(f"{POLLS} polls read {found} only")


async def test_records_that_inflate_manifold_are_inflated_once_each(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No batch is decompressed twice, and the lane's other partition continues meanwhile."""
    inflated = []
    inflate = cramjam.zstd.decompress_into

    def inflate_into(payload: bytes, buffer: bytearray) -> int:
        size = int(inflate(payload, buffer))
        inflated.append(size)
        return size

    monkeypatch.setattr(kafka_codecs.cramjam.zstd, "decompress_into", inflate_into)
    await place.send(place.one, [LARGE] * COUNT, compression_type="zstd")
    await place.send(place.two, [b"%d" % number for number in range(COUNT)])
    async with place.reading() as source:
        found = await read(source, [place.one, place.two], place.idle, 2 * COUNT)
    large = [len(batch.records) for batch in found if batch.source == place.one]
    assert (large, len(inflated)) == ([1] * COUNT, COUNT)
    ends = next(number for number, batch in enumerate(found) if batch.source == place.two and batch.next == COUNT)
    assert sum(batch.source == place.one for batch in found[:ends]) < COUNT // 2


@pytest.mark.parametrize("compression", [None, "zstd"])
async def test_a_record_of_very_many_headers_holds_nothing(place: Place, compression: str | None) -> None:
    """A flooded record arrives with one header more than the limit; later records arrive whole."""
    await place.send(place.one, [b"flood"] * 3, 199_000, compression_type=compression)
    await place.send(place.one, [b"sound"] * 3, 20)
    async with place.reading() as source:
        found = await read(source, [place.one], place.idle, 6)
    records = [record for batch in found for record in batch.records]
    assert [(record.value, len(record.headers)) for record in records] == [(b"flood", 1025)] * 3 + [(b"sound", 20)] * 3
