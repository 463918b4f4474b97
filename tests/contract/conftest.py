"""The two sinks behind one interface, so that the same suite runs on memory and on Postgres."""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import asyncpg
import pytest
from support.events.making import BRAKE_LIMITS, DLQ, RAW, REGISTRY, RETRY_1, SOURCE, batch, context, process, record
from support.events.native import native_context
from support.memory.publisher import MemoryPublisher
from support.memory.sink import MemorySink, MemoryStore
from support.memory.source import MemoryRecord

from schemas.events.bridge_event import BridgeEvent
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch, Provenance, RawRecord, TopicPartition
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender
from sinks.ports import CommitResult, Sink
from sinks.postgres.breaker.state import release_breaker, trip_by_operator
from sinks.postgres.sink import PostgresSink
from sinks.windows import WindowKey
from streams.pipeline.native import AVAILABLE
from streams.rules.breaker import BreakerJudge
from streams.worker.committer import BatchCommitter

GROUP = "contract"
OTHER = TopicPartition(RAW, 1)
RETRY = TopicPartition(RETRY_1, 0)
REFUSED = "refused"
"""The event type that the store refuses."""


class Event(NamedTuple):
    event_id: str
    event_type: str
    attempt: int
    provenance: Provenance


class Row(NamedTuple):
    retry_count: int
    waiting_until: datetime | None
    finished: bool
    error_class: str
    dropped_reason: str | None
    disposition: str | None
    replay_id: str | None
    replayed_as: str | None
    replay_of: str | None
    payload: bytes | None
    key: bytes | None


class Totals(NamedTuple):
    base: int
    next: int
    live: int
    normalized: int
    retried: int
    dropped: int
    stale: int
    skipped: int
    lost: int


class World(Protocol):
    """A sink whose stored state a test can inspect."""

    now_ms: int

    def sink(self) -> Sink: ...
    async def events(self) -> list[Event]: ...
    async def ledger(self) -> dict[Provenance, Row]: ...
    async def windows(self) -> dict[WindowKey, list[int]]: ...
    async def totals(self) -> dict[TopicPartition, Totals]: ...
    async def keys(self) -> int: ...
    async def claim_dead_letter(self, provenance: Provenance, replay_id: str) -> None: ...
    async def release_breaker(self, seconds: float) -> None: ...
    async def engage_brake_by_hand(self) -> None: ...
    async def forget_classes(self) -> None: ...
    async def superseded(self) -> set[tuple[int, str]]: ...
    async def counted(self) -> list[int]: ...


def _refused(event: BridgeEvent) -> str | None:
    return "no such event type" if event.event_type == REFUSED else None


class MemoryWorld:
    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self._store = MemoryStore(refuse=_refused)

    def sink(self) -> Sink:
        return MemorySink(self._store)

    async def events(self) -> list[Event]:
        return [Event(one.event_id, one.event_type, one.attempt, one.provenance) for one in self._store.events]

    async def ledger(self) -> dict[Provenance, Row]:
        return {
            provenance: Row(
                row.retry_count, row.next_retry_at, row.normalized, row.error_class.value,
                None if row.dropped_reason is None else row.dropped_reason.value, row.disposition,
                row.replay_id, row.replayed_as, row.replay_of, row.payload, row.record_key,
            )
            for provenance, row in self._store.ledger.items()
        }  # fmt: skip

    async def windows(self) -> dict[WindowKey, list[int]]:
        return {key: list(counts) for key, counts in self._store.windows.items()}

    async def totals(self) -> dict[TopicPartition, Totals]:
        return {
            source: Totals(
                row.base_offset, row.next_offset, row.live, row.normalized, row.retried, row.dropped, row.stale,
                row.skipped, row.lost,
            )
            for source, row in self._store.offsets.items()
        }  # fmt: skip

    async def keys(self) -> int:
        return len(self._store.keys)

    async def claim_dead_letter(self, provenance: Provenance, replay_id: str) -> None:
        row = self._store.ledger[provenance]
        row.disposition, row.replay_id = "claimed", replay_id

    async def release_breaker(self, seconds: float) -> None:
        self._store.brake = BreakerState(released=seconds > 0)

    async def engage_brake_by_hand(self) -> None:
        self._store.brake = BreakerState(engaged=True, by_hand=True)

    async def forget_classes(self) -> None:
        self._store.keys = dict.fromkeys(self._store.keys)

    async def superseded(self) -> set[tuple[int, str]]:
        return self._store.superseded

    async def counted(self) -> list[int]:
        return sorted(
            one.raw_offset
            for one in self._store.events
            if one.sender is not Sender.VISITOR or (one.site_id, one.event_id) not in self._store.superseded
        )


class PostgresWorld:
    def __init__(self, url: str) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self._url = url

    def sink(self) -> Sink:
        return PostgresSink(self._url, GROUP, lock_timeout=2)

    async def prepare(self) -> None:
        await self._fetch(f"ALTER TABLE bridge_event ADD CONSTRAINT no_refused CHECK (event_type <> '{REFUSED}')")

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            return found
        finally:
            await connection.close()

    async def events(self) -> list[Event]:
        rows = await self._fetch(
            "SELECT * FROM bridge_event ORDER BY normalized_at, raw_topic, raw_partition, raw_offset"
        )
        return [Event(row["event_id"], row["event_type"], row["attempt"], _provenance(row)) for row in rows]

    async def ledger(self) -> dict[Provenance, Row]:
        rows = await self._fetch("SELECT * FROM bridge_event_raw")
        return {
            _provenance(row): Row(
                row["retry_count"], row["next_retry_at"], row["normalized"], row["error_class"],
                row["dropped_reason"], row["disposition"], None if row["replay_id"] is None else str(row["replay_id"]),
                row["replayed_as"], row["replay_of"], row["payload"], row["record_key"],
            )
            for row in rows
        }  # fmt: skip

    async def windows(self) -> dict[WindowKey, list[int]]:
        rows = await self._fetch("SELECT * FROM gate_window")
        return {
            WindowKey(
                round(row["window_start"].timestamp() / 60),
                row["site_id"],
                row["topic"],
                row["partition"],
                row["replay"],
            ): [
                row["normalized"],
                row["retried"],
                *(count for name, count in row.items() if name.startswith("dropped_")),
            ]
            for row in rows
        }

    async def totals(self) -> dict[TopicPartition, Totals]:
        rows = await self._fetch("SELECT * FROM stream_offset WHERE group_id = $1", GROUP)
        return {
            TopicPartition(row["topic"], row["partition"]): Totals(
                row["base_offset"], row["next_offset"], row["live"], row["normalized"], row["retried"], row["dropped"],
                row["stale"], row["skipped"], row["lost"],
            )
            for row in rows
        }  # fmt: skip

    async def keys(self) -> int:
        return int((await self._fetch("SELECT count(*) FROM bridge_event_key"))[0][0])

    async def claim_dead_letter(self, provenance: Provenance, replay_id: str) -> None:
        await self._fetch(
            "UPDATE bridge_event_raw SET disposition = 'claimed', replay_id = $4::uuid "
            "WHERE raw_topic = $1 AND raw_partition = $2 AND raw_offset = $3",
            *provenance,
            replay_id,
        )

    async def release_breaker(self, seconds: float) -> None:
        await release_breaker(self._url, GROUP, seconds, "they really are bad")

    async def engage_brake_by_hand(self) -> None:
        await trip_by_operator(self._url, GROUP, "to be safe")

    async def forget_classes(self) -> None:
        await self._fetch("UPDATE bridge_event_key SET sender = NULL")

    async def counted(self) -> list[int]:
        return [row[0] for row in await self._fetch("SELECT raw_offset FROM bridge_event_counted ORDER BY 1")]

    async def superseded(self) -> set[tuple[int, str]]:
        return {tuple(row) for row in await self._fetch("SELECT site_id, event_id FROM bridge_event_superseded")}


def _provenance(row: asyncpg.Record) -> Provenance:
    return Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"])


@pytest.fixture(params=["memory", "postgres"])
async def world(request: pytest.FixtureRequest) -> World:
    """A fresh store of each kind; the Postgres server starts on first use."""
    if request.param == "memory":
        return MemoryWorld()
    made = PostgresWorld(request.getfixturevalue("database_url"))
    await made.prepare()
    return made


class Bench:
    """A sink with claimed partitions, and a lane's steps on a batch."""

    def __init__(self, world: World, *, natively: bool = False) -> None:
        self.world = world
        self._context = native_context if natively else context
        self.sink: Sink = world.sink()
        self.publisher = MemoryPublisher(DLQ)
        self.registry: Registry = REGISTRY
        self.settler = BatchCommitter(self.sink, self.publisher, BreakerJudge(BRAKE_LIMITS, time.monotonic))

    def record(self, offset: int, **given: Any) -> MemoryRecord:
        given.setdefault("event_id", f"e-{offset}")
        return record(offset, occurred_at=self.world.now_ms, timestamp=self.world.now_ms, **given)

    async def judge(self, *batches: Batch) -> list[Outcomes]:
        """Process batches against the attempts that the retry records name, so that a test chooses the outcome."""
        named = [Provenance(RAW, 0, offset) for offset in range(20)]
        states = await self.sink.ledger(named)
        judged_by = self._context(now_ms=self.world.now_ms, ledger=states, registry=self.registry)
        return [process(one, judged_by) for one in batches]

    async def commit(self, *records: RawRecord, **given: Any) -> CommitResult:
        return await self.sink.commit(await self.judge(batch(*records, **given)))

    async def settle(self, *batches: Batch) -> CommitResult:
        return await self.settler.settle(await self.judge(*batches))

    def retry(self, offset: int, provenance: Provenance, attempt: int, **given: Any) -> MemoryRecord:
        token = {"bridge-provenance": str(provenance), "bridge-attempt": str(attempt)}
        return self.record(offset, source=RETRY, headers=token, **given)

    async def everything(self) -> tuple[object, ...]:
        world = self.world
        return (
            await world.events(),
            await world.ledger(),
            await world.windows(),
            await world.totals(),
            await world.keys(),
        )


@pytest.fixture(params=["python", "native"])
async def bench(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A bench on each kind of store, whose batches each of both paths reads."""
    if request.param == "native" and not AVAILABLE:
        pytest.skip("the native module is not installed")
    made = Bench(world, natively=request.param == "native")
    await made.sink.claim({SOURCE: 0, OTHER: 0, RETRY: 0})
    yield made
    await made.sink.close()
