"""The source of records: it reads a partition's records from Kafka as batches without gaps between them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    CorruptRecordException,
    IllegalStateError,
    KafkaError,
    OffsetOutOfRangeError,
    UnsupportedCodecError,
)
from aiokafka.protocol.metadata import MetadataRequest

from schemas.config.settings import Settings
from schemas.errors import BridgeError
from schemas.pipeline.record import Batch, RawRecord, TopicPartition
from sinks.kafka.admin import started
from sinks.kafka.aiokafka_patches.codecs import bound_inflation
from sinks.kafka.aiokafka_patches.fetch_wait import hold_fetches
from sinks.kafka.aiokafka_patches.reads import count_anew, had_enough
from sinks.kafka.batch_end import batch_end
from sinks.kafka.brokers import ask_any_broker
from sinks.kafka.connection import retrieve_commits
from streams.rules.lag import Head
from streams.source.open_transactions import Sight
from streams.source.read_turns import ReadTurns

COMMIT_SECONDS = 5.0
OFFSETS_SECONDS = 10.0
# While a broker holds a fetch, the client sends it no other one, for partitions whose records were read meanwhile. So a
# fetch is held for long only while no partition has records.
HELD_MS = 50
IDLE_HELD_MS = 1000
IDLE_SECONDS = 2.0
_APART_MS = 100
_UP_TO_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 60.0
_SIGHT_SECONDS = 10.0
# While the group rebalances, aiokafka's getmany waits for the next assignment, regardless of its time-out. The next
# assignment waits until the lane that called getmany has ended.
_LATE_SECONDS = 0.3
# Raised for a batch with a wrong checksum or an invalid format, without a codec, or of too large a size when inflated;
# and for a header whose name is not UTF-8.
NOT_READABLE = (CorruptRecordException, UnsupportedCodecError, ValueError)
"""The errors of a fetch for a record that no client can read."""

log = structlog.get_logger(__name__)


class SourceUnavailable(BridgeError):
    """Kafka can't be read now. The read position of every partition is unchanged, so the read can be repeated."""


class SourceStopped(BridgeError):
    """The Kafka client was stopped. The task that reads has been asked to end, or will be soon."""


class OffsetsGone(BridgeError):
    """Kafka's log has no record at the next read position any more, because Kafka has deleted it."""


class Source(Protocol):
    """A reader of assigned partitions. After `rewind`, the batches of a partition follow each other without a gap.

    A recreated topic is a new log with a name of its own. A partition may be given by the name of any of its logs, but
    only the log that is in Kafka now can be read.
    """

    async def cluster(self) -> str:
        """Return the id of the Kafka cluster to which the reader is connected now."""

    async def beginnings(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the first offset of each log."""

    async def ends(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of each log: the offset after the last record that can be read."""

    def rewind(self, source: TopicPartition, offset: int) -> None:
        """Set the offset at which the next batch of this partition begins."""

    def position(self, source: TopicPartition) -> int | None:
        """Return the offset at which the partition's next batch begins; None before the first `rewind`."""

    def pause(self, sources: Iterable[TopicPartition]) -> None:
        """Pause reading of these partitions.

        `poll` must still be called, so that the worker stays a member of its group.
        """

    def resume(self, sources: Iterable[TopicPartition]) -> None:
        """Resume these partitions."""

    async def poll(self, sources: Sequence[TopicPartition], *, timeout_ms: int, max_records: int) -> list[Batch]:
        """Return batches of these partitions as soon as there are any records; [] after `timeout_ms` milliseconds.

        A partition that has more records than one call returns comes after the others in the next call. Raises
        SourceUnavailable, SourceStopped or OffsetsGone; the read position of every partition is then unchanged.
        """

    def unreadable(self) -> Mapping[TopicPartition, str]:
        """Return the partitions whose next record no client can read, with the reason.

        After a `rewind` of the partition, the reader tries to read the record again.
        """

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Commit offsets to Kafka's consumer group, only for lag tools.

        Returns False if Kafka does not accept them; never raises.
        """


def make_consumer(settings: Settings) -> AIOKafkaConsumer:
    """Create a Kafka consumer of the worker's group. It commits offsets only when asked to."""
    bound_inflation(settings.inflate_max_bytes)
    retrieve_commits()
    return AIOKafkaConsumer(
        **settings.kafka_client(),
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        fetch_max_wait_ms=HELD_MS,
        fetch_max_bytes=settings.fetch_max_bytes,
        max_partition_fetch_bytes=min(1024 * 1024, settings.fetch_max_bytes),
        session_timeout_ms=int(settings.session_timeout.seconds * 1000),
        # A member receives a rebalance in the answer to its next heartbeat. Until then no member reads the partitions.
        heartbeat_interval_ms=int(settings.session_timeout.seconds * 100),
        # Longer than the commit of a batch may take. Otherwise the group would remove a member that is still
        # committing.
        rebalance_timeout_ms=int(settings.revoke_budget.seconds * 1000) + 20_000,
        # A member does not poll during a rebalance, and one that has not polled for this long never joins again. The
        # watchdog checks the lanes' progress instead.
        max_poll_interval_ms=24 * 3600 * 1000,
    )


class KafkaSource:
    """The reader of records with aiokafka's consumer. It stores the offset at which each partition's next batch begins.

    `heads` has, for each partition, the first record of the last batch that was read. With `natively`, the native module
    makes the records if this process has it.
    """

    def __init__(self, consumer: AIOKafkaConsumer, *, natively: bool = True) -> None:
        self._consumer = consumer
        self._natively = natively
        self._chain: dict[TopicPartition, int] = {}
        self._unreadable: dict[TopicPartition, str] = {}
        self._look_again_at = 0.0
        self._records_at = 0.0
        self._turns: ReadTurns[KafkaPartition] = ReadTurns()
        self.heads: dict[TopicPartition, Head] = {}

    async def cluster(self) -> str:
        # The request uses the consumer's own connection, so that the answer is about the cluster that is read. The
        # consumer has no method for it.
        client = self._consumer._client  # noqa: SLF001
        try:
            async with asyncio.timeout(OFFSETS_SECONDS):
                answer = await ask_any_broker(client, MetadataRequest([]))
        except (KafkaError, OSError) as error:
            raise SourceUnavailable(f"asking Kafka for the cluster's id: {type(error).__name__}: {error}") from error
        return str(answer.cluster_id)

    async def beginnings(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._offsets(self._consumer.beginning_offsets, sources)

    async def ends(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._offsets(self._consumer.end_offsets, sources)

    async def _offsets(self, look_up: object, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        wanted = {source: _kafka(source) for source in sources}
        if not wanted:
            return {}
        try:
            async with asyncio.timeout(OFFSETS_SECONDS):
                found = await look_up([*wanted.values()])  # type: ignore[operator]  # one of two bound methods of an untyped library
        except (KafkaError, OSError) as error:
            reason = str(error) or f"no answer within {OFFSETS_SECONDS:.0f} s"
            raise SourceUnavailable(f"reading offsets from Kafka: {type(error).__name__}: {reason}") from error
        return {source: found[partition] for source, partition in wanted.items()}

    async def batch_end(self, source: TopicPartition, offset: int) -> int:
        """Return the offset after the batch that contains `offset`, even if no client can read the batch.

        Raises SourceUnavailable.
        """
        try:
            async with asyncio.timeout(OFFSETS_SECONDS):
                return await batch_end(self._consumer._client, _kafka(source), offset)  # noqa: SLF001  # as for `cluster`
        except (KafkaError, OSError) as error:
            raise SourceUnavailable(f"reading the end of a batch: {type(error).__name__}: {error}") from error

    def rewind(self, source: TopicPartition, offset: int) -> None:
        self._chain[source] = offset
        self._unreadable.pop(source, None)
        self._consumer.seek(_kafka(source), offset)

    def position(self, source: TopicPartition) -> int | None:
        return self._chain.get(source)

    def pause(self, sources: Iterable[TopicPartition]) -> None:
        self._if_assigned(self._consumer.pause, sources)

    def resume(self, sources: Iterable[TopicPartition]) -> None:
        self._if_assigned(self._consumer.resume, sources)

    def _if_assigned(self, act: object, sources: Iterable[TopicPartition]) -> None:
        assigned = self._consumer.assignment()
        partitions = [_kafka(source) for source in sources]
        wanted = [partition for partition in partitions if partition in assigned]
        if wanted:
            act(*wanted)  # type: ignore[operator]  # one of two bound methods of an untyped library

    def unreadable(self) -> Mapping[TopicPartition, str]:
        return self._unreadable

    async def poll(self, sources: Sequence[TopicPartition], *, timeout_ms: int, max_records: int) -> list[Batch]:
        if self._unreadable and time.monotonic() > self._look_again_at:
            # A record that was damaged in transit may be intact when it is fetched again.
            self._unreadable.clear()
        readable = [source for source in sources if source not in self._unreadable]
        if not readable:
            await asyncio.sleep(timeout_ms / 1000)
            return []
        hold_fetches(self._consumer, HELD_MS if time.monotonic() < self._records_at + IDLE_SECONDS else IDLE_HELD_MS)
        try:
            batches = await self._fetch(readable, timeout_ms, max_records)
        except NOT_READABLE:
            batches = await self._find_unreadable(readable, max_records)
        if batches:
            self._records_at = time.monotonic()
        for batch in batches:
            self._chain[batch.source] = batch.next
            if batch.records:
                self.heads[batch.source] = Head(batch.prev, batch.records[0].offset, batch.records[0].timestamp)
        return batches

    async def _find_unreadable(self, sources: Sequence[TopicPartition], max_records: int) -> list[Batch]:
        """Fetch each partition alone, to find the one with the unreadable record. All other partitions continue.

        Returns the records before an unreadable record. Once they are committed, the stored offset is that of the
        unreadable record, which the command `bridge offsets skip` can then skip.
        """
        found = []
        for source in sources:
            try:
                await self._fetch([source], _APART_MS, max_records)
            except NOT_READABLE as error:
                found += await self._up_to_unreadable(source, max_records, error)
        self._seek_all(sources)
        return found

    async def _up_to_unreadable(self, source: TopicPartition, max_records: int, error: Exception) -> list[Batch]:
        """Return the records before the partition's unreadable record, by fetching one record at a time.

        A larger fetch that meets the unreadable record discards the records before it.
        """
        start = self._chain[source]
        records: list[RawRecord] = []
        deadline = time.monotonic() + _UP_TO_SECONDS
        try:
            # The discarded records are fetched again, which takes time. An empty answer does not mean that there are no
            # more.
            while len(records) < max_records and time.monotonic() < deadline:
                for batch in await self._fetch([source], _APART_MS, 1):
                    records += batch.records
                    self._chain[source] = batch.next
        except NOT_READABLE as again:
            error = again
        finally:
            following, self._chain[source] = self._chain[source], start
        if following > start:
            return [Batch(source, start, following, records)]
        self._give_up(source, error)
        return []

    def _give_up(self, source: TopicPartition, error: Exception) -> None:
        """Stop reading the partition at its unreadable record, and log it. The other partitions continue."""
        self._unreadable[source] = f"{type(error).__name__}: {error}"
        self._look_again_at = time.monotonic() + _LOOK_AGAIN_SECONDS
        place, error_text = source._asdict(), self._unreadable[source]
        log.error("record_unreadable", **place, offset=self._chain.get(source), error=error_text)

    async def _fetch(self, sources: Sequence[TopicPartition], timeout_ms: int, max_records: int) -> list[Batch]:
        partitions = [_kafka(source) for source in sources]
        count_anew(natively=self._natively)
        try:
            async with asyncio.timeout(timeout_ms / 1000 + _LATE_SECONDS):
                for partition, source in zip(partitions, sources, strict=True):
                    if source in self._chain and await self._consumer.position(partition) != self._chain[source]:
                        self._consumer.seek(partition, self._chain[source])
                found = await self._drain(partitions, timeout_ms, max_records)
                batches = []
                for partition, source in zip(partitions, sources, strict=True):
                    if source not in self._chain:
                        continue
                    prev, following = self._chain[source], await self._consumer.position(partition)
                    if following > prev:
                        batches.append(Batch(source, prev, following, found.get(partition, ())))
                return batches
        except TimeoutError:
            # Records that arrived meanwhile stay in the client. The next poll begins at the same position and returns
            # them.
            return []
        except OffsetOutOfRangeError as error:
            self._seek_all(sources)
            raise OffsetsGone(f"Kafka's log does not have the next offset any more: {error}") from error
        except ConsumerStoppedError as error:
            raise SourceStopped("the consumer was stopped") from error
        except NOT_READABLE:
            raise
        except (KafkaError, IllegalStateError, OSError) as error:
            self._seek_all(sources)
            raise SourceUnavailable(f"reading from Kafka: {type(error).__name__}: {error}") from error

    async def _drain(
        self, partitions: Sequence[KafkaPartition], timeout_ms: int, max_records: int
    ) -> dict[KafkaPartition, Sequence[RawRecord]]:
        """Poll one group of partitions after the other.

        In one poll, aiokafka returns only records of one partition for as long as this partition has more.
        """
        found: dict[KafkaPartition, Sequence[RawRecord]] = {}
        groups, left = self._turns.groups(partitions), max_records
        for group in groups:
            wait_ms = timeout_ms if len(groups) == 1 else 0
            part = await self._consumer.getmany(*group, timeout_ms=wait_ms, max_records=left)
            found |= part
            left -= sum(map(len, part.values()))
            full = not left or had_enough()
            # If the call was full, the last partition that returned records has more of them.
            self._turns.took(group, [*part][-1] if full and part else None)
            if full:
                break
        return found

    def sight(self, source: TopicPartition) -> Sight | None:
        """Return the log's end offsets, as the last fetch has shown them; None if the last fetch was not recent."""
        partition = _kafka(source)
        if partition not in self._consumer.assignment():
            return None
        seen_ms = self._consumer.last_poll_timestamp(partition)
        end, stable = self._consumer.highwater(partition), self._consumer.last_stable_offset(partition)
        if not seen_ms or end is None or stable is None or stable < 0:
            return None
        fresh = time.time() - seen_ms / 1000 < _SIGHT_SECONDS
        return Sight(stable, end) if fresh else None

    def _seek_all(self, sources: Iterable[TopicPartition]) -> None:
        """Seek aiokafka's consumer back to the stored read positions.

        When aiokafka's getmany raises, it has discarded records of the other partitions.
        """
        assigned = self._consumer.assignment()
        for source in sources:
            partition = _kafka(source)
            if source in self._chain and partition in assigned:
                self._consumer.seek(partition, self._chain[source])

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        known = {_kafka(source): offset for source, offset in offsets.items()}
        try:
            await asyncio.wait_for(self._consumer.commit(known), COMMIT_SECONDS)
        except (KafkaError, IllegalStateError, OSError):
            return False
        return True


def _kafka(source: TopicPartition) -> KafkaPartition:
    return KafkaPartition(*source.in_kafka)


@asynccontextmanager
async def taking(settings: Settings, partitions: Sequence[TopicPartition]) -> AsyncIterator[KafkaSource]:
    """Open a reader of these partitions for a short task. It does not join the workers' consumer group.

    Raises PreconditionFailed if Kafka is away.
    """
    consumer = make_consumer(settings)
    async with started(settings, consumer):
        consumer.assign([_kafka(one) for one in partitions])
        yield KafkaSource(consumer, natively=settings.native_reader)
