"""Committed events on Postgres that a test ages, replays, discards and removes, with the deep audit over them."""

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from schemas.config.settings import Settings
from schemas.documents.audit_report import AuditReport
from schemas.pipeline.audit_snapshot import LogBounds
from schemas.pipeline.record import Provenance, RawRecord, TopicPartition
from schemas.pipeline.registry import Script
from schemas.pipeline.retention import PlannedStep, RetentionKind, RetentionStep
from sinks.postgres.audit.snapshot import read_snapshot
from sinks.postgres.connection import connection
from sinks.postgres.retention.plans import add_plan, counted, find_plan, go_on
from sinks.postgres.sink import PostgresSink
from streams.rules.audit import judge
from support.events.making import RAW, REGISTRY, RETRY_1, batch, context, process, record

GROUP: Final = "books"
REPLAY: Final = "6f2d1e34-8a53-4a57-9d0b-0d5a3c0f8f11"
RETRY: Final = TopicPartition(RETRY_1, 0)
LATE: Final = {"late": Script("late", 1, 10, enabled=True)}
FUTURE: Final = timedelta(days=1)


class Books:
    """A sink on two raw partitions and a retry partition. Its clock does not move; rows are aged by `age`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.settings = Settings(
            database_url=url,
            kafka_bootstrap_servers="127.0.0.1:1",
            topic_prefix="t.",
            retry_delays=("1s", "2s"),
            group=GROUP,
        )  # type: ignore[call-arg, arg-type]  # the settings validate what they are given
        self.now_ms = time.time_ns() // 1_000_000
        self.sink = PostgresSink(url, GROUP)
        self.next = {TopicPartition(RAW, 0): 0, TopicPartition(RAW, 1): 0, RETRY: 0}

    async def begin(self) -> None:
        """Claim the partitions."""
        await self.sink.claim(self.next)

    async def commit(self, *records: RawRecord, named: Sequence[Provenance] = (), known: bool = False) -> None:
        """Commit one batch of records of one partition. `named` are ledger rows that the records name.

        `known` registers the script that is unknown otherwise.
        """
        states = await self.sink.ledger(list(named), bodies=True)
        registry = REGISTRY | (LATE if known else {})
        await self.sink.commit(
            [process(batch(*records), context(now_ms=self.now_ms, ledger=states, registry=registry))]
        )

    def raw(self, partition: int, **given: Any) -> RawRecord:
        """Make the next raw record of a partition."""
        return self._next(TopicPartition(RAW, partition), **given)

    def retry(self, place: Provenance, attempt: int) -> RawRecord:
        """Make the next record of the retry topic, which names the attempt of a waiting event."""
        return self._next(RETRY, headers={"bridge-provenance": str(place), "bridge-attempt": str(attempt)})

    def replay(self, partition: int, place: Provenance, **given: Any) -> RawRecord:
        """Make the next raw record of a partition, which replays a claimed dead letter."""
        return self._next(
            TopicPartition(RAW, partition),
            headers={"bridge-replay-id": REPLAY, "bridge-replay-of": str(place)},
            **given,
        )

    def _next(self, source: TopicPartition, **given: Any) -> RawRecord:
        offset = self.next[source]
        self.next[source] += 1
        given.setdefault("event_id", f"{source.partition}-{offset}")
        return record(offset, source=source, occurred_at=self.now_ms, timestamp=self.now_ms, **given)

    async def fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        """Return the rows of a statement."""
        conn = await asyncpg.connect(self.url)
        try:
            return list(await conn.fetch(statement, *values))
        finally:
            await conn.close()

    async def places(self, condition: str) -> list[Provenance]:
        """Return the places of the ledger's rows that meet an SQL condition, in order."""
        rows = await self.fetch(
            f"SELECT raw_topic, raw_partition, raw_offset FROM bridge_event_raw WHERE {condition} ORDER BY 1, 2, 3"
        )
        return [Provenance(*row) for row in rows]

    async def change(self, change: str, place: Provenance) -> None:
        """Change one row of the ledger: `change` is what follows SET."""
        await self.fetch(
            f"UPDATE bridge_event_raw SET {change} WHERE (raw_topic, raw_partition, raw_offset) = ($1, $2, $3)",
            *place,
        )

    async def audit(self) -> AuditReport:
        """Return the report of the deep audit; Kafka ends where the partitions were read to."""
        bounds = {source: LogBounds(0, end) for source, end in self.next.items()}
        return judge(await read_snapshot(self.settings, deep=True), bounds, self.settings.topics)

    async def plan(self, *kinds: RetentionKind, before: datetime | None = None) -> str:
        """Store a plan of these kinds for all rows from before a time, by default for all rows."""
        cut = before or datetime.now(UTC) + FUTURE
        async with connection(self.url, "test") as conn:
            steps = await counted(conn, [RetentionStep(kind, "1h", cut) for kind in kinds])
            return await add_plan(conn, "run", datetime.now(UTC), steps)

    async def steps(self, plan_id: str) -> tuple[PlannedStep, ...]:
        """Return the steps of the plan as they are stored."""
        async with connection(self.url, "test") as conn:
            return (await find_plan(conn, plan_id)).steps

    async def apply(self, plan_id: str, most: int = 1000) -> int:
        """Apply a plan; return the number of rows that were removed in all."""
        removed = 0
        for step in await self.steps(plan_id):
            while step.ended_at is None:
                step = await go_on(self.url, plan_id, step, "run", most)
            removed += step.rows_removed
        return removed

    async def remove(self, *kinds: RetentionKind, before: datetime | None = None, most: int = 1000) -> int:
        """Make a plan and apply it; return the number of rows that were removed."""
        return await self.apply(await self.plan(*kinds, before=before), most)


@asynccontextmanager
async def kept(url: str) -> AsyncIterator[Books]:
    """Books on a database, with claimed partitions."""
    books = Books(url)
    await books.begin()
    try:
        yield books
    finally:
        await books.sink.close()


class Life:
    """Random commits, replays and operators' actions on books, by a seed."""

    def __init__(self, books: Books, seed: int) -> None:
        self.books, self.random = books, random.Random(seed)

    async def act(self) -> str:
        """Do one action; return its name."""
        name = self.random.choice(
            ("commit", "commit", "commit", "retry", "retry", "replay", "replay", "discard", "plan", "age")
        )
        await getattr(self, f"_{name}")()
        return name

    async def _commit(self) -> None:
        books, number, records = self.books, self.random.randrange(2), []
        for _ in range(self.random.randint(1, 6)):
            kind = self.random.choice(("good", "good", "bad", "late", "late", "copy"))
            given: dict[str, Any] = {"bad": {"value": b"{"}, "late": {"script_id": "late"}}.get(kind, {})
            if kind == "copy":
                given = {"event_id": f"{number}-0"}
            records.append(books.raw(number, **given))
        await books.commit(*records)

    async def _retry(self) -> None:
        """A waiting event heals, or fails again until it is dropped."""
        waiting = await self.books.fetch(
            "SELECT raw_topic, raw_partition, raw_offset, retry_count FROM bridge_event_raw WHERE NOT normalized ORDER BY 1, 2, 3"
        )
        if waiting:
            *place, count = self.random.choice(waiting)
            provenance = Provenance(*place)
            retry = self.books.retry(provenance, count + 1)
            await self.books.commit(retry, named=[provenance], known=self.random.random() < 0.5)

    async def _replay(self) -> None:
        found = await self.books.places("disposition = 'open'")
        if found:
            place = self.random.choice(found)
            await self.books.change(f"disposition = 'claimed', replay_id = '{REPLAY}'", place)
            given: dict[str, Any] = {"value": b"{"} if self.random.random() < 0.5 else {}
            replay = self.books.replay(self.random.randrange(2), place, **given)
            await self.books.commit(replay, named=[place])

    async def _discard(self) -> None:
        found = await self.books.places("disposition = 'open'")
        if found:
            await self.books.change("disposition = 'discarded', updated_at = now()", self.random.choice(found))

    async def _plan(self) -> None:
        """A plan of replays with a dead letter; the plan before is gone."""
        await self.books.fetch("DELETE FROM replay")
        found = await self.books.places("dropped_reason IS NOT NULL")
        if found:
            await hold(self.books, self.random.choice(found))

    async def _age(self) -> None:
        """Half of the rows get a day older."""
        await self.books.fetch(
            "UPDATE bridge_event_raw SET updated_at = updated_at - interval '1 day', outcome_at = outcome_at - interval '1 day'"
            " WHERE (raw_offset + $1) % 2 = 0",
            self.random.randrange(2),
        )


async def hold(books: Books, place: Provenance) -> None:
    """Store a plan of replays that has this dead letter as its item."""
    await books.fetch(
        "WITH made AS (INSERT INTO replay (replay_id, requested_by, filter, planned, state) VALUES ($1, 'x', '{}', 1, 'planned'))"
        " INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)"
        " VALUES ($1, 1, $2, $3, $4, 'passes')",
        REPLAY,
        *place,
    )
