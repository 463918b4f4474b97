"""Dropped events and their later results, by the ledger."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

from schemas.documents.afterwards import Afterwards, Became
from sinks.postgres.connection import Connection, connection
from sinks.postgres.statements import sql

By = Literal["day", "site"]


class Drops(NamedTuple):
    """Dropped events by reason without replays, and their later results. Both count the same rows.

    A reason may be unknown to this release.
    """

    reasons: Counter[str]
    became: Counter[Afterwards]

    @property
    def events(self) -> int:
        """The number of dropped events; a replay is not another event."""
        return self.reasons.total()


async def became(conn: Connection) -> Became:
    """Return the results of all dropped events in the ledger."""
    return dict(summed((await _parts(conn, None, None, None)).values()).became)


async def drops_by(dsn: str, by: By, since: datetime, site_id: int | None = None) -> dict[str, Drops]:
    """Return the events dropped since then, by day (`2026-11-28`, UTC) or by site (`7`; `0` for events without one).

    The site is the one that the dead letter names, registered or not. Raises SinkUnavailable.
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
