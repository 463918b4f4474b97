"""Faults of producers: bursts of bad events, rows that Postgres refuses, open or aborted transactions, backlogs."""

import asyncio
import time
from contextlib import suppress

from support.wait import wait_until

from sinks.kafka.producer import make_producer
from tools.faults.catalogue.base import Fault
from tools.faults.records import SHARES, Flaw

MIX = frozenset({"mix"})
TRANSACTION_RECORDS = 200
_BUDGET_SECONDS = 60.0
"""About how long the load waits for a broker that is down."""


class _InTheMix(Fault):
    """A changed mix of the load; it lasts until some of its events were sent: the broker may be down."""

    occupies = MIX
    least = 1
    """The least number of events that makes it a fault."""

    def sent(self) -> int:
        """Number of the fault's own events that were sent."""
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
    """The next `events` events are all bad; then the mix is as before."""

    name = "poison-storm"
    seconds = (1.0, 6.0)
    events = 4000
    """Below the circuit breaker's limit: fewer than 1 000 in a row on each partition."""
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
    """Postgres refuses the rows of two events in a hundred; half of these are followed by a valid copy."""

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
    """Every event on one partition is bad, up to `events`; the other partitions are as before."""

    name = "poison-one-partition"
    seconds = (2.0, 5.0)
    events = 600
    """Below the limit of the circuit breaker, which counts a partition's dead letters in a row."""
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

    # If the broker stopped meanwhile, the transaction's outcome would be unknown.
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
    """A producer's transaction stays open, so that the records behind it can't be read; it commits at the end."""

    name = "open-transaction"


class AbortedTransaction(_Transaction):
    """A producer's transaction stays open and is aborted at the end: none of its records may be processed."""

    name = "aborted-transaction"
    commits = False


class RetryBacklog(Fault):
    """`events` events in one burst, of a script that is never registered: a backlog on every retry topic."""

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
