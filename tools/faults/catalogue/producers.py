"""Faults of producers: storms of bad events, rows that Postgres refuses, transactions left open or aborted, backlogs."""

import asyncio
import time
from contextlib import suppress

from support.wait import wait_until

from sinks.kafka.publisher import make_producer
from tools.faults.catalogue.base import Fault
from tools.faults.records import SHARES, Flaw

MIX = frozenset({"mix"})
TRANSACTION_RECORDS = 200
_BUDGET_SECONDS = 60.0
"""A broker that is away keeps the load waiting for about so long."""


class _InTheMix(Fault):
    """What the load sends is changed for a time, which goes on until something of it was sent: the broker may be away."""

    occupies = MIX
    least = 1
    """So many events make it a fault."""

    def sent(self) -> int:
        """How many of the fault's own events were sent."""
        raise NotImplementedError

    async def until_sent(self) -> None:
        with suppress(AssertionError):
            await wait_until(
                lambda: self.sent() >= self.least, budget_seconds=_BUDGET_SECONDS, describe="the fault's events"
            )

    async def mend(self) -> None:
        self.world.load.shares = SHARES
        self.bites = self.sent()


class PoisonStorm(_InTheMix):
    """Every event is bad, for as long as `events` of them; then the mix is as before."""

    name = "poison-storm"
    seconds = (1.0, 6.0)
    events = 4000
    """Below the brake: fewer than 1 000 in a row on each partition."""
    least = 100
    before = 0

    def sent(self) -> int:
        return self.world.load.steady - self.before

    async def strike(self) -> None:
        self.before = self.world.load.steady
        self.world.load.shares = {Flaw.BROKEN: 0.6, Flaw.VIOLATION: 0.4}
        until = time.monotonic() + self.seconds_long
        await wait_until(
            lambda: time.monotonic() >= until or self.sent() >= self.events,
            budget_seconds=self.seconds_long + 5,
            describe="the storm is over",
        )
        await self.until_sent()
        self.world.load.shares = SHARES


class RefusedRows(_InTheMix):
    """In a hundred events there are two whose rows Postgres refuses, half of them with a sound copy behind them."""

    name = "refused-rows"
    seconds = (2.0, 5.0)
    least = 20

    def sent(self) -> int:
        return self.world.load.journal.placed(Flaw.REFUSED, since=self.begin)

    async def strike(self) -> None:
        self.begin = len(self.world.load.journal)
        self.world.load.shares = SHARES | {Flaw.REFUSED: 0.02}
        await self.until_sent()


class PoisonOnePartition(_InTheMix):
    """Every event on one partition is bad, up to `events`; its neighbours are as before."""

    name = "poison-one-partition"
    seconds = (2.0, 5.0)
    events = 600
    """Below the brake, which counts a partition's dead letters in a row."""
    least = 100

    def sent(self) -> int:
        return self.events - self.world.load.poison_left

    async def strike(self) -> None:
        load = self.world.load
        load.poison(self.aim % load.journal.partitions, self.events)
        await self.until_sent()

    async def mend(self) -> None:
        await super().mend()
        self.world.load.poison(None, 0)


class _Transaction(Fault):
    """A producer's transaction over all partitions."""

    # A broker that goes away in between would leave open how it ended.
    occupies = frozenset({"transaction", "kafka"})
    seconds = (2.0, 7.0)
    commits = True

    async def strike(self) -> None:
        load = self.world.load
        settings = self.world.settings
        name = f"campaign-{self.name}-{len(load.journal)}"
        async with make_producer(settings, transactional_id=name, enable_idempotence=True) as producer:
            await producer.begin_transaction()
            indices = [load.journal.add(Flaw.NONE) for _ in range(TRANSACTION_RECORDS)]
            if not self.commits:
                load.journal.aborted.update(indices)
            placed = [await (await load.hand_to(producer, index)) for index in indices]
            await asyncio.sleep(self.seconds_long)
            if self.commits:
                await producer.commit_transaction()
                for index, place in zip(indices, placed, strict=True):
                    load.journal.acknowledge(index, place.partition, place.offset)
            else:
                await producer.abort_transaction()
        self.bites = len(indices)


class OpenTransaction(_Transaction):
    """A producer's transaction stays open and holds back what stands behind it; it commits at the end."""

    name = "open-transaction"


class AbortedTransaction(_Transaction):
    """A producer's transaction stays open and is aborted at the end: none of its records may count."""

    name = "aborted-transaction"
    commits = False


class RetryBacklog(Fault):
    """Events of a script that nobody registers, `events` at once: a backlog on every retry topic."""

    name = "retry-backlog"
    occupies = MIX
    seconds = (1.0, 2.0)
    events = 3000

    async def strike(self) -> None:
        await self.world.load.burst(Flaw.UNKNOWN, self.events)
        self.bites = self.events


FAULTS = [
    PoisonStorm,
    RefusedRows,
    PoisonOnePartition,
    OpenTransaction,
    AbortedTransaction,
    RetryBacklog,
]
