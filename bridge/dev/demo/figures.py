"""Numbers that the demonstration reads from Postgres: progress during the run, and results at its end."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from schemas.config.settings import Settings
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql


class Counts(NamedTuple):
    """Running totals over all raw partitions; `read` is the sum of the partitions' stored offsets."""

    read: int
    epochs: int
    normalized: int
    retried: int
    dropped: int
    waiting: int


class Progress(NamedTuple):
    """The progress of a run: events that Kafka has acknowledged, events read, attempts by outcome, waiting events."""

    sent: int
    read: int
    normalized: int
    retried: int
    dropped: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: persisted rows, rows that needed a retry, drops by reason, and the times in milliseconds.

    The times are quantiles of the time from an event's arrival in Kafka until its row was committed.
    """

    normalized: int
    healed: int
    dropped: dict[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None


class Figures:
    """Reads the numbers of one run of the demonstration from Postgres: only what happened since the run's beginning."""

    def __init__(self, conn: Connection, settings: Settings) -> None:
        self._conn = conn
        self._names = (settings.group, settings.topics.raw)
        self._since: datetime | None = None
        self._before = Counts(0, 0, 0, 0, 0, 0)

    async def begin(self) -> None:
        """Set the beginning, by the database's clock."""
        self._since = await self._conn.fetchval("SELECT now()")
        self._before = await self._counts()

    async def _counts(self) -> Counts:
        return Counts(*await self._conn.fetchrow(sql("demo_counts"), *self._names, self._since))

    async def claimed(self) -> int:
        """Return how often workers have taken over a raw partition since the beginning."""
        return (await self._counts()).epochs - self._before.epochs

    async def progress(self, sent: int) -> Progress:
        """Return the progress of the run now; `sent` is the number of events that Kafka has acknowledged."""
        now, before = await self._counts(), self._before
        return Progress(
            sent,
            now.read - before.read,
            now.normalized - before.normalized,
            now.retried - before.retried,
            now.dropped - before.dropped,
            now.waiting,
        )

    async def waiting_scripts(self, script_ids: list[str]) -> set[str]:
        """Return which of these scripts (registered sources of a site's events) have events that wait for a retry."""
        rows = await self._conn.fetch(sql("demo_waiting_scripts"), script_ids)
        return {row["script_id"] for row in rows}

    async def outcome(self) -> Outcome:
        """Return the numbers at the end."""
        events = await self._conn.fetchrow(sql("demo_events"), self._since)
        ledger = {
            row["dropped_reason"]: row["events"] for row in await self._conn.fetch(sql("demo_ledger"), self._since)
        }
        healed = ledger.pop(None, 0)
        return Outcome(events["normalized"], healed, ledger, _milliseconds(events["p50"]), _milliseconds(events["p99"]))


def _milliseconds(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds() * 1000, 1)
