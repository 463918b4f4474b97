"""Counts of dropped (dead-lettered) events, and of what became of them later, from the ledger of failed events."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from schemas.documents.afterwards import Afterwards, Became
from sinks.postgres.connection import Connection, connection
from sinks.postgres.statements import sql

By = Literal["day", "site"]


class Drops(NamedTuple):
    """Numbers of dropped (dead-lettered) events by reason, and by what became of them later.

    Both dictionaries count the same events; replays are not counted. `reasons` may have names that this release does
    not know.
    """

    reasons: Counter[str]
    became: Counter[Afterwards]

    @property
    def events(self) -> int:
        """The number of dropped events. A replay of an event is not counted as another event."""
        return self.reasons.total()


async def became(conn: Connection) -> Became:
    """Return what became of all dropped events in the ledger of failed events: the number of events by result."""
    return dict(summed((await _parts(conn, None, None, None)).values()).became)


async def drops_by(dsn: str, by: By, since: datetime, site_id: int | None = None) -> dict[str, Drops]:
    """Return the events dropped since `since`, by day (key `2026-11-28`, UTC) or by site (key `7`).

    The site is the one that the dead letter names, whether it is registered or not; the key is `0` if the dead letter
    names none. Raises SinkUnavailable.
    """
    async with connection(dsn, "drops") as conn:
        return await _parts(conn, by, since, site_id)


def summed(parts: Iterable[Drops]) -> Drops:
    """Return the sum of all parts."""
    total = Drops(Counter(), Counter())
    for one in parts:
        total.reasons.update(one.reasons)
        total.became.update(one.became)
    return total


async def _parts(conn: Connection, by: By | None, since: datetime | None, site_id: int | None) -> dict[str, Drops]:
    parts: dict[str, Drops] = defaultdict(lambda: Drops(Counter(), Counter()))
    for row in await conn.fetch(sql("drops_became"), since, site_id, by):
        one, found = parts[row["part"]], Afterwards(row["became"])
        one.became[found] += row["events"]
        if found is not Afterwards.REPLAY:
            one.reasons[row["dropped_reason"]] += row["events"]
    return parts
