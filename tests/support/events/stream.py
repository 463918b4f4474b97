"""A whole stream on memory seams in virtual time: lanes, source, store and publisher."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from schemas.errors import SinkUnavailable
from schemas.pipeline.breaker import BreakerLimits
from schemas.pipeline.record import Provenance, TopicPartition
from schemas.pipeline.registry import Registry
from streams.rules.breaker import BreakerJudge
from streams.source.kafka import SourceUnavailable
from streams.worker.lane import Lane
from streams.worker.lane_parts import LaneParts
from streams.worker.retry_lane import RetryLane
from support.events.making import BOUNDS, BRAKE_LIMITS, DELAYS_MS, DLQ, NOW_MS, POLICY, RAW, REGISTRY, body
from support.events.sealed import TRUST
from support.memory.publisher import MemoryPublisher, Published
from support.memory.sink import MemorySink, MemoryStore
from support.memory.source import MemoryRecord, MemorySource
from support.wait import wait_until

REAL_BUDGET_SECONDS = 20


class Stream:
    """Raw and retry topics of `partitions` partitions each. `failing` counts calls that are still to fail, by seam."""

    def __init__(
        self,
        partitions: int = 1,
        *,
        max_records: int = 100,
        limits: BreakerLimits = BRAKE_LIMITS,
        native: bool = True,
    ) -> None:
        self.raw = [TopicPartition(RAW, number) for number in range(partitions)]
        self.retries = [TopicPartition(topic, number) for topic in DELAYS_MS for number in range(partitions)]
        self.failing: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.registry: Registry = REGISTRY
        self.paused: dict[TopicPartition, str] = {}
        self.source = MemorySource([*self.raw, *self.retries], fail=lambda: self._maybe("source"))
        self.store = MemoryStore()
        self.publisher = MemoryPublisher(
            DLQ, partitions=partitions, fail=lambda _failure: self._maybe("publisher"), deliver=self._deliver
        )
        self.parts = LaneParts(
            source=self.source,
            publisher=self.publisher,
            make_sink=lambda: MemorySink(self.store, fail=self._maybe),
            registry=lambda: self.registry,
            trust=lambda: TRUST,
            paused=lambda: self.paused,
            policy=POLICY,
            bounds=BOUNDS,
            raw_topic=RAW,
            native=native,
            max_records=max_records,
            dedup_hints=1000,
            brake=BreakerJudge(limits, lambda: asyncio.get_running_loop().time()),
            brake_probe_seconds=30.0,
            random=lambda: 0.0,
            now_ms=self.now_ms,
            monotonic=lambda: asyncio.get_running_loop().time(),
        )
        self.published_at_ms: list[int] = []

    def now_ms(self) -> int:
        """The virtual clock's time since the epoch."""
        return NOW_MS + round(asyncio.get_running_loop().time() * 1000)

    def _maybe(self, seam: str) -> None:
        self.calls[seam] += 1
        if self.failing[seam] > 0:
            self.failing[seam] -= 1
            if seam == "source":
                raise SourceUnavailable("the source is away")
            raise SinkUnavailable(f"{seam} is away")

    def _deliver(self, sent: Published) -> None:
        self.published_at_ms.append(self.now_ms())
        if sent.topic != DLQ:
            place = TopicPartition(sent.topic, sent.partition)
            self.source.append(place, sent.value, key=sent.key, headers=sent.headers, timestamp=self.now_ms())

    def produce(
        self,
        partition: int = 0,
        value: bytes | None = None,
        headers: Iterable[tuple[str, bytes | None]] = (),
        **changed: Any,
    ) -> Provenance:
        """Append a raw event that occurs now."""
        text = body(occurred_at=self.now_ms(), **changed) if value is None else value
        record: MemoryRecord = self.source.append(
            self.raw[partition], text, key=b"k", timestamp=self.now_ms(), headers=headers
        )
        return Provenance(*self.raw[partition], record.offset)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[list[Lane]]:
        """Run a lane for the raw partitions and one for the retries until the block ends; raises their errors."""
        lanes = [Lane("raw", self.raw, self.parts), RetryLane("retry", self.retries, self.parts)]
        tasks = [asyncio.create_task(lane.run()) for lane in lanes]
        self.tasks = tasks
        try:
            yield lanes
        finally:
            for lane in lanes:
                lane.stop()
            await asyncio.gather(*tasks)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Advance virtual time until the condition holds or a lane has failed."""
        await wait_until(
            lambda: condition() or any(task.done() for task in self.tasks),
            budget_seconds=REAL_BUDGET_SECONDS,
            describe=what,
        )
        for task in self.tasks:
            if task.done():
                task.result()

    async def settled(self) -> None:
        """Wait until every record is committed and no event waits for a retry."""
        await self.until(self.is_settled, "every record settled and no event waiting")

    def is_settled(self) -> bool:
        """Whether every record is committed and no event waits for a retry."""
        ends = {source: self.source._logs[source].end for source in [*self.raw, *self.retries]}
        stored = {source: row.next_offset for source, row in self.store.offsets.items()}
        return stored == ends and all(row.normalized for row in self.store.ledger.values())

    def assert_balanced(self) -> None:
        """Assert the audit's equations, and that no record is unread."""
        self.assert_balanced_so_far()
        assert self.is_settled()

    def assert_balanced_so_far(self) -> None:
        """Assert the audit's equations for the records that have been read."""
        store, offsets = self.store, self.store.offsets
        for source, row in offsets.items():
            assert row.next_offset - row.base_offset == row.live + row.stale + row.skipped + row.lost, source
        sums = [sum(column) for column in zip(*store.windows.values(), strict=True)] or [0] * 7
        dropped = [row for row in store.ledger.values() if row.dropped_reason is not None]
        assert sums[0] == len(store.events) == len(store.keys) == sum(row.normalized for row in offsets.values())
        assert sums[1] == sum(row.retry_count for row in store.ledger.values())
        assert sums[1] == sum(row.retried for row in offsets.values())
        assert sum(sums[2:]) == len(dropped) == sum(row.dropped for row in offsets.values())
        for source in self.raw:
            self._assert_each_ended_once(source)

    def _assert_each_ended_once(self, source: TopicPartition) -> None:
        end = self.store.offsets[source].next_offset
        provenances = [Provenance(*source, offset) for offset in self.source._logs[source].offsets if offset < end]
        rows = Counter(event.provenance for event in self.store.events)
        for provenance in provenances:
            row = self.store.ledger.get(provenance)
            finished_as_event = row is None or (row.normalized and row.dropped_reason is None)
            assert rows[provenance] == finished_as_event, (provenance, row)
        assert {one for one in [*rows, *self.store.ledger] if one[:2] == source} <= set(provenances)

    def dead_letters(self) -> list[Published]:
        """The records of the DLQ."""
        return [one for one in self.publisher.published if one.topic == DLQ]
