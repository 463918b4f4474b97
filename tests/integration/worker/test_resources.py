"""A worker's memory is bounded behind a backlog of large events on many partitions, and of retry copies."""

import asyncio
import json
import random
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import psutil
import pytest
from support.events.settled import LATE_SCRIPT, environment_of, event, fetch, prepare, settings_for
from support.processes.command import start
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.postgres.registry.admin import add_script
from streams.audit import audit

pytestmark = pytest.mark.timeout(900)

MEBIBYTE = 1024 * 1024
PARTITIONS = 200
LARGE_BYTES = 1_000_000
REQUEST_BYTES = 30 * MEBIBYTE
RETRIES = 100_000
IDLE_BYTES = 250 * MEBIBYTE
"""A worker's allowance before it has read anything."""
PER_PARTITION_BYTES = MEBIBYTE
"""The client's read-ahead of each partition, regardless of the lanes' progress."""
IN_HAND_BYTES = 250 * MEBIBYTE
"""One batch of each lane, and its copies in flight to Kafka and Postgres."""


class Measured:
    """A worker of its own and its peak memory in bytes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.peak = 0

    async def look(self) -> None:
        """Sample the worker's memory until cancelled or the worker has exited."""
        while self.process.poll() is None:
            try:
                self.peak = max(self.peak, psutil.Process(self.process.pid).memory_info().rss)
            except psutil.Error:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def worker(settings: Settings, **more: str) -> AsyncIterator[Measured]:
    """A worker that has to drain and exit with 0."""
    measured = Measured(start("worker", settings=environment_of(settings, **more), quiet=True, cold=True))
    looking = asyncio.create_task(measured.look())
    try:
        yield measured
        measured.process.terminate()
        assert await asyncio.to_thread(measured.process.wait, 60) == 0
    finally:
        measured.process.kill()
        measured.process.wait(30)
        looking.cancel()


async def send(settings: Settings, values: Iterable[bytes]) -> None:
    """Produce to all partitions in turn, in requests that the broker accepts."""
    async with make_producer(settings) as producer:
        sent, size = [], 0
        for number, value in enumerate(values):
            sent.append(await producer.send(settings.topics.raw, value, partition=number % settings.topic_partitions))
            size += len(value)
            if size > REQUEST_BYTES:
                await asyncio.gather(*sent)
                sent, size = [], 0
        await asyncio.gather(*sent)


async def count(settings: Settings, condition: str) -> int:
    return int((await fetch(settings, f"SELECT count(*) FROM bridge_event_raw WHERE {condition}"))[0][0])


async def test_large_events_on_many_partitions(stack, database_url, topic_prefix) -> None:
    """Events of a megabyte are dead-lettered whole and small ones between them committed, within bounded memory."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, topic_partitions=PARTITIONS, lanes=4)
    await prepare(settings)
    filler = random.Random(1).randbytes(LARGE_BYTES // 2).hex()[: LARGE_BYTES - 400]
    large = (event(number, properties={"filler": filler[number:]}) for number in range(PARTITIONS))
    await send(settings, large)
    await send(settings, (event(1000 + number) for number in range(10 * PARTITIONS)))

    async def settled() -> bool:
        done = await fetch(settings, "SELECT sum(live) FROM stream_offset WHERE topic = $1", settings.topics.raw)
        return done[0][0] == 11 * PARTITIONS

    async with worker(settings, BRIDGE_LANES="4") as measured:
        await wait_until(settled, budget_seconds=400, describe="everything settled")

    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped) == (10 * PARTITIONS, PARTITIONS)
    assert measured.peak < IDLE_BYTES + PARTITIONS * PER_PARTITION_BYTES + IN_HAND_BYTES, measured.peak / MEBIBYTE


async def test_a_hundred_thousand_on_the_retry_topics(stack, database_url, topic_prefix) -> None:
    """A hundred thousand retries wait for a script registered late; all are normalized within bounded memory."""
    settings = settings_for(
        stack.kafka, database_url, topic_prefix, topic_partitions=4, retry_delays=("30s",), max_retries=20, lanes=2
    )
    await prepare(settings)
    sound = json.loads(event(0, script_id=LATE_SCRIPT, site_id=1, properties={"filler": "x" * 300}))
    await send(settings, (json.dumps(sound | {"event_id": f"e-{number}"}).encode() for number in range(RETRIES)))

    async def all_wait() -> bool:
        return await count(settings, "NOT normalized") == RETRIES

    async def all_healed() -> bool:
        return await count(settings, "normalized AND dropped_reason IS NULL") == RETRIES

    async with worker(settings, BRIDGE_LANES="2", BRIDGE_MAX_RETRIES="20") as measured:
        await wait_until(all_wait, budget_seconds=300, describe="the whole backlog in the ledger")
        await add_script(settings.dsn, LATE_SCRIPT, 1)
        await wait_until(all_healed, budget_seconds=400, describe="the whole backlog healed")

    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped, report.totals.waiting) == (RETRIES, 0, 0)
    assert measured.peak < IDLE_BYTES + IN_HAND_BYTES, measured.peak / MEBIBYTE
