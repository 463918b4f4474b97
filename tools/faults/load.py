"""The steady load: a number of events in a number of seconds, with every flaw, and scripts that are registered late."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.postgres.registry.cache import tell_of_change
from tools.faults.journal import Journal
from tools.faults.records import LATE_BLOCK, SHARES, SITES, Flaw, late_script

_TICK_SECONDS = 0.02
_MOST_TIMES = 4
"""Largest multiple of its events that a load sends to outlast the faults, which are delayed on a busy machine."""
_BURST = 4.0
"""Largest multiple of its rate at which the load catches up after an outage of the broker."""
_PENDING = 20_000
_REGISTRY_SECONDS = 0.3


class Load:
    """Sends `events` events over `seconds` seconds by a connection past the proxies."""

    def __init__(self, settings: Settings, journal: Journal, *, events: int, seconds: float) -> None:
        self._settings = settings
        self.journal = journal
        self._events = events
        self._rate = events / seconds
        self._pending: set[asyncio.Future[Any]] = set()
        self._again: list[int] = []
        self._producer: AIOKafkaProducer | None = None
        self._registered = 0
        self.steady = 0
        self.shares = SHARES
        self._poisoned: int | None = None
        self.poison_left = 0
        self.faults_over = False
        """The load continues until this is set, if necessary with up to four times as many events."""

    async def run(self) -> None:
        """Send all events; return when Kafka has acknowledged them."""
        self._producer = make_producer(self._settings, linger_ms=10, request_timeout_ms=20_000)
        await self._producer.start()
        registrar = asyncio.create_task(self._register())
        try:
            await self._steadily()
            while self._pending or self._again:
                await self._send_again()
                if self._pending:
                    await asyncio.wait(set(self._pending), timeout=1)
            await self._register_up_to(len(self.journal) // LATE_BLOCK + 1)
        finally:
            registrar.cancel()
            await self._producer.stop()

    async def _steadily(self) -> None:
        began = last = time.monotonic()
        allowed = 0.0
        while self.steady < self._events or (not self.faults_over and self.steady < _MOST_TIMES * self._events):
            await asyncio.sleep(_TICK_SECONDS)
            now = time.monotonic()
            allowed = min(self._rate * (now - began), allowed + self._rate * _BURST * (now - last))
            last = now
            await self._send_again()
            while self.steady < allowed and len(self._pending) < _PENDING:
                index = self._next()
                self.steady += 1
                await self.send(index)
                if self.journal.flaw(index) is Flaw.REFUSED and index % 2 == 0:
                    await self.send(self.journal.add(Flaw.COPY, index))

    def _next(self) -> int:
        index = self.journal.draw(self.shares)
        poisoned = self.poison_left and self.journal.record(index).partition == self._poisoned
        if poisoned and self.journal.flaw(index) is Flaw.NONE:
            self.journal.break_(index)
            self.poison_left -= 1
        return index

    def poison(self, partition: int | None, events: int) -> None:
        """Replace the next `events` valid events by broken ones, on this partition or on all if it is None."""
        self._poisoned, self.poison_left = partition, events

    async def use_partitions(self, count: int) -> None:
        """Send events to this number of partitions from now on."""
        assert self._producer is not None, "run() comes first"
        await self._producer.client.force_metadata_update()
        self.journal.partitions = count

    async def hand_to(self, producer: AIOKafkaProducer, index: int) -> "asyncio.Future[Any]":
        """Pass the record of this entry to a producer; return the future of its acknowledgement."""
        record = self.journal.record(index)
        handed: asyncio.Future[Any] = await producer.send(
            self._settings.topics.raw,
            record.value,
            key=record.key,
            partition=record.partition,
            headers=list(record.headers),
        )
        return handed

    async def send(self, index: int) -> None:
        """Send the record of this entry, again and again until Kafka acknowledges it."""
        assert self._producer is not None, "run() comes first"
        try:
            future = await self.hand_to(self._producer, index)
        except KafkaError:
            self.journal.unanswered += 1
            self._again.append(index)
            return
        self._pending.add(future)
        future.add_done_callback(lambda done: self._answered(index, done))

    def _answered(self, index: int, done: "asyncio.Future[Any]") -> None:
        self._pending.discard(done)
        if done.cancelled() or done.exception() is not None:
            self.journal.unanswered += 1
            self._again.append(index)
        else:
            self.journal.acknowledge(index, done.result().partition, done.result().offset)

    async def _send_again(self) -> None:
        failed, self._again = self._again, []
        for index in failed:
            await self.send(index)

    async def burst(self, flaw: Flaw, count: int) -> None:
        """Send `count` records with this flaw in one burst, in addition to the steady load."""
        for _ in range(count):
            await self.send(self.journal.add(flaw))

    async def _register(self) -> None:
        """Register each block's late script when the block is over."""
        while True:
            await asyncio.sleep(_REGISTRY_SECONDS)
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await self._register_up_to(len(self.journal) // LATE_BLOCK)

    async def _register_up_to(self, blocks: int) -> None:
        if self._registered >= blocks:
            return
        conn = await asyncpg.connect(self._settings.dsn, timeout=5)
        try:
            await conn.execute("SET default_transaction_read_only = off; SET statement_timeout = 0")
            for block in range(self._registered, blocks):
                script, site = late_script(block * LATE_BLOCK)
                await conn.execute(
                    "INSERT INTO script (script_id, site_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", script, site
                )
                self._registered = block + 1
            await tell_of_change(conn)
        finally:
            await conn.close(timeout=2)


async def register_scripts(settings: Settings) -> None:
    """Register a site and a script for every number, before the load begins."""
    conn = await asyncpg.connect(settings.dsn)
    try:
        for site in range(1, SITES + 1):
            await conn.execute("INSERT INTO site (site_id) VALUES ($1)", site)
            await conn.execute("INSERT INTO script (script_id, site_id) VALUES ($1, $2)", f"script-{site}", site)
    finally:
        await conn.close()
