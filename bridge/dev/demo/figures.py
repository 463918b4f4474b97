"""Numbers that the demonstration reads from Postgres: progress during the run, and results at its end."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import sub
from typing import NamedTuple

from schemas.config.settings import Settings
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql


class Counts(NamedTuple):
    """Totals over all raw partitions: events read, attempts by outcome, waiting events.

    `read` is the sum of the partitions' stored offsets. `epochs` is how often workers have taken over a partition.
    """

    read: int
    epochs: int
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

    async def progress(self) -> Counts:
        """Return the totals since the beginning."""
        return Counts(*map(sub, await self._counts(), self._before))

    async def waiting_scripts(self, script_ids: list[str]) -> set[str]:
        """Return which of these scripts (registered sources of a site's events) have events that wait for a retry."""
        rows = await self._conn.fetch(sql("demo_waiting_scripts"), script_ids)
        return {row["script_id"] for row in rows}

    async def outcome(self) -> Outcome:
        """Return the numbers at the end."""
        events = await self._conn.fetchrow(sql("demo_events"), self._since)
        ledger = dict(await self._conn.fetch(sql("demo_ledger"), self._since))
        healed = ledger.pop(None, 0)
        return Outcome(events["normalized"], healed, ledger, _milliseconds(events["p50"]), _milliseconds(events["p99"]))


def _milliseconds(duration: timedelta | None) -> float | None:
    return None if duration is None else round(duration.total_seconds() * 1000, 1)
