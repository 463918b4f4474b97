"""Faults of producers and topics: storms of bad events, transactions left open or aborted, backlogs, new partitions."""

import asyncio

from aiokafka.admin import NewPartitions
from support.wait import wait_until

from faults.catalogue.base import Fault
from faults.records import SHARES, Flaw
from sinks.kafka import make_producer
from sinks.kafka_admin import kafka_admin

MIX = frozenset({"mix"})
TRANSACTION_RECORDS = 200


class PoisonStorm(Fault):
    """Every event is bad, for as long as `events` of them; then the mix is as before."""

    name = "poison-storm"
    occupies = MIX
    seconds = (1.0, 6.0)
    events = 4000
    """Below the brake: fewer than 1 000 in a row on each partition."""

    async def strike(self) -> None:
        load = self.world.load
        before = load.steady
        load.shares = {Flaw.BROKEN: 0.6, Flaw.VIOLATION: 0.4}
        await asyncio.sleep(0)
        ended = asyncio.create_task(asyncio.sleep(self.seconds_long))
        await wait_until(
            lambda: ended.done() or load.steady - before >= self.events,
            budget_seconds=self.seconds_long + 5,
            describe="the storm is over",
        )
        ended.cancel()
        load.shares = SHARES
        self.bites = load.steady - before

    async def mend(self) -> None:
        self.world.load.shares = SHARES


class RefusedRows(Fault):
    """In a hundred events there are two whose rows Postgres refuses, half of them with a sound copy behind them."""

    name = "refused-rows"
    occupies = MIX
    seconds = (2.0, 5.0)

    async def strike(self) -> None:
        self.before = self.world.load.steady
        self.world.load.shares = SHARES | {Flaw.REFUSED: 0.02}

    async def mend(self) -> None:
        self.bites = self.world.load.steady - self.before
        self.world.load.shares = SHARES


class PoisonOnePartition(Fault):
    """Every event on one partition is bad, up to `events`; its neighbours are as before."""

    name = "poison-one-partition"
    occupies = MIX
    seconds = (2.0, 5.0)
    events = 600
    """Below the brake, which counts a partition's dead letters in a row."""

    async def strike(self) -> None:
        load = self.world.load
        load.poison(self.aim % load.journal.partitions, self.events)

    async def mend(self) -> None:
        self.bites = self.events - self.world.load.poison_left
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


class PartitionsAdded(Fault):
    """Raw, retry and DLQ topics get two more partitions, and the load uses them at once."""

    name = "partitions-added"
    occupies = frozenset({"partitions", "kafka"})
    # Consumers look for new partitions every five minutes.
    seconds = (310.0, 310.0)
    quick = False

    async def strike(self) -> None:
        load, topics = self.world.load, self.world.settings.topics
        count = load.journal.partitions + 2
        async with kafka_admin(self.world.settings) as client:
            for topic in (topics.dlq, *topics.retries, topics.raw):
                await client.create_partitions({topic: NewPartitions(total_count=count)})
        await load.use_partitions(count)
        self.bites = 2


class CorruptBatch(Fault):
    """A batch whose checksum is wrong, in the log itself."""

    name = "corrupt-batch"
    occupies = frozenset({"kafka"})
    seconds = (1.0, 1.0)
    skipped = "it holds its partition until an operator passes it, for which there is no command yet"


class RetryTopicEmptied(Fault):
    """All records of the retry topics are deleted while events wait for them."""

    name = "retry-topic-emptied"
    occupies = frozenset({"kafka"})
    seconds = (1.0, 1.0)
    skipped = "nothing publishes waiting events again yet"


FAULTS = [
    PoisonStorm,
    RefusedRows,
    PoisonOnePartition,
    OpenTransaction,
    AbortedTransaction,
    RetryBacklog,
    PartitionsAdded,
    CorruptBatch,
    RetryTopicEmptied,
]
