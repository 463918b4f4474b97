"""A source of records in memory, for tests and for trials without a broker."""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from schemas.pipeline.record import Batch, RawRecord, TopicPartition
from streams.source.kafka import OffsetsGone
from streams.source.read_turns import ReadTurns

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class MemoryRecord:
    """One record. `timestamp` is in milliseconds since the epoch; `timestamp_type` is 1 for the broker's clock."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = 0
    timestamp_type: int = 1
    headers: Headers = ()


class _Log:
    """One partition: its records by offset, its beginning and its end."""

    __slots__ = ("beginning", "end", "offsets", "records")

    def __init__(self) -> None:
        self.records: list[RawRecord] = []
        self.offsets: list[int] = []
        self.beginning = 0
        self.end = 0


class MemorySource:
    """Partitions as lists of records, with the chain's semantics of a Kafka consumer.

    `fail` is called before each poll and each query of offsets and may raise a broker's errors, such as
    SourceUnavailable. `wait` is called with the seconds left of a poll without records, and returns when they have
    passed or earlier; a virtual clock can replace it.
    """

    def __init__(
        self,
        partitions: Iterable[TopicPartition],
        *,
        fail: Callable[[], None] | None = None,
        wait: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._logs = {source: _Log() for source in partitions}
        self._fail = fail or (lambda: None)
        self._wait = wait or self._wait_for_change
        self._changed = asyncio.Event()
        self._chain: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._turns: ReadTurns[TopicPartition] = ReadTurns()
        self.committed: dict[TopicPartition, int] = {}
        self.cluster_id = "memory"

    async def cluster(self) -> str:
        self._fail()
        return self.cluster_id

    def unreadable(self) -> Mapping[TopicPartition, str]:
        """Always empty: records in memory can all be read."""
        return {}

    def append(
        self,
        source: TopicPartition,
        value: bytes | None,
        *,
        key: bytes | None = None,
        timestamp: int = 0,
        timestamp_type: int = 1,
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> MemoryRecord:
        """Append a record to the log and return it with its offset; `timestamp` is in milliseconds."""
        log = self._logs[source]
        record = MemoryRecord(*source, log.end, value, key, timestamp, timestamp_type, tuple(headers))
        log.records.append(record)
        log.offsets.append(record.offset)
        log.end += 1
        self._changed.set()
        return record

    def leave_hole(self, source: TopicPartition, offsets: int = 1) -> None:
        """Advance the log's end by offsets without a record, as transaction markers do."""
        self._logs[source].end += offsets
        self._changed.set()

    def delete_before(self, source: TopicPartition, offset: int) -> None:
        """Delete the records before the offset, as retention does."""
        log = self._logs[source]
        first = bisect_left(log.offsets, offset)
        del log.records[:first], log.offsets[:first]
        log.beginning = max(log.beginning, offset)
        log.end = max(log.end, offset)

    def make_anew(self, source: TopicPartition) -> None:
        """Replace the log by an empty one, as a deleted and recreated topic does."""
        self._logs[source] = _Log()

    async def beginnings(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._fail()
        return {source: self._logs[source.in_kafka].beginning for source in sources}

    async def ends(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        self._fail()
        return {source: self._logs[source.in_kafka].end for source in sources}

    def rewind(self, source: TopicPartition, offset: int) -> None:
        self._chain[source] = offset
        self._changed.set()

    def position(self, source: TopicPartition) -> int | None:
        return self._chain.get(source)

    def pause(self, sources: Iterable[TopicPartition]) -> None:
        self._paused.update(source.in_kafka for source in sources)

    def resume(self, sources: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(source.in_kafka for source in sources)
        self._changed.set()

    @property
    def paused(self) -> frozenset[TopicPartition]:
        """The paused partitions."""
        return frozenset(self._paused)

    async def poll(self, sources: Sequence[TopicPartition], *, timeout_ms: int, max_records: int) -> list[Batch]:
        # A lane with records at every poll has to let other tasks run.
        await asyncio.sleep(0)
        self._fail()
        self._changed.clear()
        batches = self._batches(sources, max_records)
        if not batches:
            await self._wait(timeout_ms / 1000)
            batches = self._batches(sources, max_records)
        for batch in batches:
            self._chain[batch.source] = batch.next
        return batches

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        self.committed.update(offsets)
        return True

    def _batches(self, sources: Sequence[TopicPartition], max_records: int) -> list[Batch]:
        batches = []
        for source in chain.from_iterable(self._turns.groups(sources)):
            if source.in_kafka in self._paused or source not in self._chain or max_records <= 0:
                continue
            batch = self._batch(source, max_records)
            max_records -= len(batch.records)
            self._turns.took([source], None if max_records else source)
            if batch.next > batch.prev:
                batches.append(batch)
        return batches

    def _batch(self, source: TopicPartition, max_records: int) -> Batch:
        log, prev = self._logs[source.in_kafka], self._chain[source]
        if not log.beginning <= prev <= log.end:
            raise OffsetsGone(
                f"{source.topic}-{source.partition} holds {log.beginning} to {log.end}, {prev} was to be read next"
            )
        first = bisect_left(log.offsets, prev)
        records = log.records[first : first + max_records]
        whole = first + len(records) == len(log.records)
        return Batch(source, prev, log.end if whole else records[-1].offset + 1, records)

    async def _wait_for_change(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return
