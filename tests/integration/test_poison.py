"""Records that no worker can read or dead-letter whole: they stop neither the worker nor their neighbours."""

import asyncio

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from support.programs import python, run
from support.settled import event, prepare, produce, settings_for, working
from support.wait import wait_until

from schemas.dead_letter import DeadLetter
from schemas.settings import Settings
from sinks import metrics
from sinks.audit import audit

pytestmark = pytest.mark.timeout(120)
LARGE = b" " * (3 * 1024 * 1024)


# aiokafka's compiled records take no names but text; its Python ones take whatever encodes itself.
FOREIGN_CLIENT = """
import asyncio, sys
from aiokafka import AIOKafkaProducer
class NotUtf8(str):
    def encode(self, *_):
        return bytes([255, 254])
async def main():
    async with AIOKafkaProducer(bootstrap_servers=sys.argv[1]) as producer:
        await producer.send_and_wait(sys.argv[2], b"{}", partition=0, headers=[(NotUtf8("x"), b"x")])
asyncio.run(main())
"""


async def send_raw(settings: Settings, value: bytes) -> None:
    """One record to partition 0, compressed so well that the broker takes any size."""
    async with AIOKafkaProducer(
        **settings.kafka_client(), compression_type="gzip", max_request_size=16 * 1024 * 1024
    ) as producer:
        await producer.send_and_wait(settings.topics.raw, value, partition=0)


async def _settled(settings: Settings, partition: int, offset: int) -> bool:
    conn = await asyncpg.connect(settings.dsn)
    try:
        return bool(
            await conn.fetchval(
                "SELECT next_offset >= $3 FROM stream_offset WHERE topic = $1 AND partition = $2",
                settings.topics.raw, partition, offset,
            )
        )  # fmt: skip
    finally:
        await conn.close()


async def test_a_dead_letter_that_is_too_large_goes_without_its_value(stack, database_url, topic_prefix) -> None:
    """The ledger holds it whole, the dead letter says so, and what stands behind it is settled."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await send_raw(settings, LARGE)
    await produce(settings, [event(number) for number in range(20)])
    async with working(settings):
        await wait_until(lambda: _settled(settings, 0, 11), budget_seconds=30, describe="the records behind it")
    conn = await asyncpg.connect(database_url)
    assert await conn.fetchval("SELECT octet_length(payload) FROM bridge_event_raw") == len(LARGE)
    await conn.close()
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped) == (20, 1)
    async with AIOKafkaConsumer(
        settings.topics.dlq, **settings.kafka_client(), auto_offset_reset="earliest", fetch_max_bytes=2**26
    ) as consumer:
        letter = DeadLetter.from_record(await consumer.getone())
    assert letter.value_omitted or letter.value_bytes() == LARGE


async def test_a_record_that_cannot_be_read_holds_its_partition_only(stack, database_url, topic_prefix) -> None:
    """The worker lives, the other partition goes on, and the metric says which one is held."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    client = python(FOREIGN_CLIENT, settings.brokers, settings.topics.raw)
    sent = await asyncio.to_thread(run, client, changed={"AIOKAFKA_NO_EXTENSIONS": "1"})
    assert sent.returncode == 0, sent.stderr
    await produce(settings, [event(number) for number in range(10, 30)])
    gauge = metrics.UNREADABLE.labels(settings.topics.raw, "0")
    async with working(settings) as worker:
        await wait_until(lambda: _settled(settings, 1, 10), budget_seconds=30, describe="the other partition")
        await wait_until(lambda: gauge._value.get() == 1, budget_seconds=30, describe="the held partition's metric")
        assert not worker.failed.done()
    assert not await _settled(settings, 0, 1)
