"""What became of dropped events, as the ledger knows it."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import Literal

from schemas.afterwards import Afterwards, Became
from sinks.postgres import Connection, connection, sql

By = Literal["day", "site"]


async def became(conn: Connection) -> Became:
    """Of all that the ledger holds."""
    found = await _parts(conn, None, None, None)
    return found.get("", {})


async def became_by(dsn: str, by: By, since: datetime, site_id: int | None = None) -> dict[str, Became]:
    """Of what was dropped since then, by day (`2026-11-28`, UTC) or by site (`7`; `0` is what has none).

    Raises SinkUnavailable.
    """
    async with connection(dsn, "drops") as conn:
        return await _parts(conn, by, since, site_id)


def summed(parts: dict[str, Became]) -> Became:
    """All parts together."""
    total: Counter[Afterwards] = Counter()
    for one in parts.values():
        total.update(one)
    return dict(total)


async def _parts(conn: Connection, by: By | None, since: datetime | None, site_id: int | None) -> dict[str, Became]:
    parts: dict[str, Became] = defaultdict(dict)
    for row in await conn.fetch(sql("drops_became"), since, site_id, by):
        parts[row["part"]][Afterwards(row["became"])] = row["events"]
    return parts
