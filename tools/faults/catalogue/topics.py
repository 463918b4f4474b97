"""Faults of topics: new partitions, a batch that is damaged in the log itself, retry topics with deleted records."""

import asyncio
from contextlib import suppress
from pathlib import Path

import asyncpg
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import NewPartitions, RecordsToDelete
from support.wait import wait_until

from schemas.errors import BridgeError
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import kafka_admin, log_bounds
from sinks.kafka.producer import make_producer
from sinks.postgres.audit.snapshot import acknowledge_lost
from tools.faults.catalogue.base import Fault
from tools.faults.records import Flaw
from tools.faults.segments import flip_last_byte

_BUDGET_SECONDS = 90.0
"""Another fault may be delaying all work: the workers notice a half-open link only after a minute."""


class PartitionsAdded(Fault):
    """Raw, retry and DLQ topics get two more partitions, and the load uses them immediately."""

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
    """A batch is damaged in the log itself before it is read, so its partition is paused; it is repaired at the end."""

    name = "corrupt-batch"
    # A broker that restarts truncates its log at the damage.
    occupies = frozenset({"kafka", "transaction"})
    seconds = (1.0, 3.0)
    damaged: tuple[Path, int] | None = None

    async def strike(self) -> None:
        load, settings = self.world.load, self.world.settings
        name = f"campaign-{self.name}-{len(load.journal)}"
        async with make_producer(settings, transactional_id=name, enable_idempotence=True) as producer:
            # A read_committed consumer stops before the open transaction, so the batch is damaged before it is read.
            await producer.begin_transaction()
            index = load.journal.add(Flaw.NONE)
            place = await (await load.hand_to(producer, index))
            directory = self.world.servers.kafka_logs / f"{place.topic}-{place.partition}"
            flip_last_byte(directory, place.offset)
            self.damaged = (directory, place.offset)
            await producer.commit_transaction()
        load.journal.acknowledge(index, place.partition, place.offset)
        with suppress(AssertionError):
            await wait_until(
                lambda: self._held(place.partition), budget_seconds=_BUDGET_SECONDS, describe="the partition held"
            )

    async def _held(self, partition: int) -> bool:
        """Whether the partition is paused as unreadable."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            async with self.world.session() as conn:
                self.bites = await conn.fetchval(
                    "SELECT count(*) FROM stream_offset WHERE topic = $1 AND partition = $2 "
                    "AND held LIKE 'CorruptRecord%'",
                    self.world.settings.topics.raw,
                    partition,
                )
        return self.bites > 0

    async def mend(self) -> None:
        if self.damaged is not None:
            flip_last_byte(*self.damaged)
            self.damaged = None


class RetryTopicEmptied(Fault):
    """All records of the retry topics are deleted while events wait for them, `events` of them the fault's own."""

    name = "retry-topic-emptied"
    occupies = frozenset({"kafka", "mix"})
    seconds = (1.0, 2.0)
    events = 300

    async def strike(self) -> None:
        with suppress(AssertionError):
            await wait_until(self._emptied, budget_seconds=_BUDGET_SECONDS, describe="unread retries deleted")

    async def _emptied(self) -> bool:
        """Send events that have to be retried, and delete their copies once some are there that are not yet read."""
        await self.world.load.burst(Flaw.UNKNOWN, self.events)
        with suppress(AssertionError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, BridgeError):
            await wait_until(self._delete, budget_seconds=5.0, describe="unread retries")
        return self.bites > 0

    async def _delete(self) -> bool:
        settings = self.world.settings
        ends = {place: log.end for place, log in (await log_bounds(settings, settings.topics.retries)).items()}
        if sum(ends[place] - read for place, read in (await self._read()).items()) < self.events // 3:
            return False
        async with kafka_admin(settings) as client:
            await client.delete_records(
                {KafkaPartition(*place): RecordsToDelete(before_offset=end) for place, end in ends.items() if end}
            )
        self.bites = sum(max(0, ends[place] - read) for place, read in (await self._read()).items())
        return True

    async def _read(self) -> dict[TopicPartition, int]:
        async with self.world.session() as conn:
            rows = await conn.fetch(
                "SELECT topic, partition, next_offset FROM stream_offset WHERE topic = ANY($1)",
                list(self.world.settings.topics.retries),
            )
        return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def after_drain(self) -> None:
        """Acknowledge the lost records, as an operator does who knows that only copies were deleted."""
        await asyncio.gather(*(acknowledge_lost(self.world.settings, place) for place in await self._read()))


FAULTS = [PartitionsAdded, CorruptBatch, RetryTopicEmptied]
