"""A steady load of valid events, and the age of the oldest uncommitted one at each moment."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from support.events.settled import event

from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.postgres.connection import connection

LOOK_SECONDS = 0.1
_PENDING = 10_000


class SteadyLoad:
    """`rate` events a second until stopped. `acknowledged` holds the number of each event that Kafka acknowledged."""

    def __init__(self, settings: Settings, rate: float) -> None:
        self._settings = settings
        self._rate = rate
        self._sent = 0
        self._open: set[asyncio.Future[Any]] = set()
        self._stopped = False
        self.acknowledged: set[int] = set()
        self.arrivals: dict[int, list[tuple[int, float]]] = {}
        """Offset and moment of each acknowledged event, by partition of the raw topic."""

    async def run(self) -> None:
        """Send events; after `stop`, return when each is acknowledged or has failed."""
        producer = make_producer(self._settings, linger_ms=10)
        await producer.start()
        began = time.monotonic()
        try:
            while not self._stopped:
                await asyncio.sleep(0.02)
                due = round((time.monotonic() - began) * self._rate)
                while self._sent < due and len(self._open) < _PENDING:
                    await self._send(producer)
            if self._open:
                await asyncio.wait(self._open, timeout=60)
        finally:
            await producer.stop()

    def stop(self) -> None:
        """End the load."""
        self._stopped = True

    async def _send(self, producer: AIOKafkaProducer) -> None:
        number, self._sent = self._sent, self._sent + 1
        partition = number % self._settings.topic_partitions
        future = await producer.send(self._settings.topics.raw, event(number), partition=partition)
        self._open.add(future)
        future.add_done_callback(lambda done: self._done(number, done))

    def _done(self, number: int, done: "asyncio.Future[Any]") -> None:
        self._open.discard(done)
        if not done.cancelled() and done.exception() is None:
            record = done.result()
            self.acknowledged.add(number)
            self.arrivals.setdefault(record.partition, []).append((record.offset, time.monotonic()))


class Freshness:
    """Samples the age of the oldest event that Kafka acknowledged and that is not committed, ten times a second."""

    def __init__(self, settings: Settings, load: SteadyLoad) -> None:
        self._settings = settings
        self._load = load
        self._settled: dict[int, int] = {}
        self._moved: dict[int, float] = {}
        self.ages: list[tuple[float, float]] = []
        """Moment and age in seconds."""
        self.progress: list[float] = []
        """Moments of the samples at which more was committed than at the sample before."""
        self.rests: list[tuple[float, float]] = []
        """Moment, and the longest time in seconds for which a partition has committed nothing."""

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            try:
                async with connection(self._settings.dsn, "test") as conn:
                    while True:
                        await self._look(conn)
                        await asyncio.sleep(LOOK_SECONDS)
            except Exception:  # noqa: BLE001  # a server that is broken on purpose: the age grows all the same
                self._note()
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, conn: asyncpg.Connection) -> None:
        query = "SELECT partition, next_offset FROM stream_offset WHERE topic = $1"
        rows = await conn.fetch(query, self._settings.topics.raw, timeout=1)
        settled = {row["partition"]: row["next_offset"] for row in rows}
        if sum(settled.values()) > sum(self._settled.values()):
            self.progress.append(time.monotonic())
        self._moved |= {one: time.monotonic() for one, at in settled.items() if at != self._settled.get(one)}
        self._settled = settled
        self._note()

    def _note(self) -> None:
        now, oldest = time.monotonic(), 0.0
        for partition, arrivals in self._load.arrivals.items():
            reached = self._settled.get(partition, 0)
            while arrivals and arrivals[0][0] < reached:
                arrivals.pop(0)
            oldest = max(oldest, now - arrivals[0][1] if arrivals else 0.0)
        self.ages.append((now, oldest))
        self.rests.append((now, now - min(self._moved.values(), default=now)))

    def figures(self, since: float) -> dict[str, float]:
        """Median, 99th percentile and maximum of the ages since a moment, in seconds."""
        ages = sorted(age for moment, age in self.ages if moment >= since) or [0.0]
        return {
            "freshness median s": round(ages[len(ages) // 2], 2),
            "freshness 99 % s": round(ages[len(ages) * 99 // 100], 2),
            "freshness worst s": round(ages[-1], 2),
        }

    def pause_after(self, moment: float) -> float:
        """Seconds from the moment to the next commit; infinite if there was none."""
        return next((one - moment for one in self.progress if one > moment), float("inf"))


async def differences(settings: Settings, acknowledged: Iterable[int]) -> list[str]:
    """Describe acknowledged events without a row, and events with more than one."""
    async with connection(settings.dsn, "test") as conn:
        rows = Counter(row[0] for row in await conn.fetch("SELECT event_id FROM bridge_event"))
    lost = {f"e-{number}" for number in acknowledged} - rows.keys()
    twice = [one for one, count in rows.items() if count > 1]
    found = [f"{len(lost)} acknowledged events have no row, such as {sorted(lost)[:3]}"] if lost else []
    return found + ([f"{len(twice)} events have two rows, such as {twice[:3]}"] if twice else [])


async def all_settled(settings: Settings, load: SteadyLoad) -> bool:
    """Whether there are at least as many rows as acknowledged events."""
    try:
        async with connection(settings.dsn, "test") as conn:
            return bool(await conn.fetchval("SELECT count(*) FROM bridge_event") >= len(load.acknowledged))
    except (KafkaError, asyncpg.PostgresError, OSError):
        return False
