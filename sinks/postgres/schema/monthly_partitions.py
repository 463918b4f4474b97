"""Monthly partitions of `bridge_event`, created ahead of need by migrations and by workers."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial

import asyncpg

from schemas.errors import PreconditionFailed
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql
from sinks.postgres.table_locks import PATIENCE_SECONDS, Tell, locking, log_awaited

# received_at is at most this many months old (a producer's clamped time), and retries and replays keep it.
MONTHS_BACK = 1
SUMMARIZE_LOCK_MS = 500
LOCK_KEY = 0x6768_6F73_746D  # "ghostm": a second key, as the migrations' lock is held around this one


def month(first: date, shift: int) -> date:
    """Return the first day of the month `shift` months from the month of `first`."""
    index = first.year * 12 + first.month - 1 + shift
    return date(index // 12, index % 12 + 1, 1)


def needed(today: date, ahead: int) -> list[date]:
    """Return the first days of the months that must exist: the last one, this one, and `ahead` more."""
    return [month(today, shift) for shift in range(-MONTHS_BACK, ahead + 1)]


async def make_partitions(
    dsn: str,
    connection: Connection,
    ahead: int,
    today: date | None = None,
    *,
    lock_seconds: float = PATIENCE_SECONDS,
    tell: Tell = log_awaited,
) -> list[str]:
    """Create the missing months over the connection, which is to `dsn`; return the names of all that are needed.

    A new month locks `bridge_event`, for which it waits like `locking`. Raises PreconditionFailed if it gets no lock
    within `lock_seconds`, or if a default partition has events of a missing month.
    """
    names = []
    for first in needed(today or datetime.now(UTC).date(), ahead):
        name = f"bridge_event_{first:%Y_%m}"
        bounds = {"name": name, "first": f"{first} 00:00:00+00", "after": f"{month(first, 1)} 00:00:00+00"}
        exists = await connection.fetchval("SELECT to_regclass($1)", name)
        if exists is None:
            make = partial(_make_month, connection, sql("event_partition_create") % bounds)
            try:
                await locking(dsn, connection, name, make, seconds=lock_seconds, tell=tell)
            except asyncpg.CheckViolationError as error:
                if not (default := await default_partition(connection)):
                    raise
                raise PreconditionFailed(f"{name} can't be made: {default_complaint(default)}") from error
        names.append(name)
    await summarize_months(connection)
    return names


async def _make_month(connection: Connection, statement: str) -> None:
    # IF NOT EXISTS alone still fails when two sessions create the same table concurrently.
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
    await connection.execute(statement)


async def summarize_months(connection: Connection) -> None:
    """Let autovacuum summarise new pages in the months' BRIN indexes: otherwise a query of two days reads a month.

    The option can't be set on the parent, from which new months would inherit it.
    """
    for row in await connection.fetch(sql("partitions_unsummarized")):
        # Otherwise writers would queue behind the wait for a long query of the month; the next call tries again.
        with suppress(asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError):
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{SUMMARIZE_LOCK_MS}ms'")
                await connection.execute(sql("partition_summarize") % dict(row))


async def default_partition(connection: Connection) -> str | None:
    """Return the name of the default partition, which gets events of missing months; None if none is attached."""
    rows = await connection.fetch(sql("partitions_attached"))
    return next((row["name"] for row in rows if row["bounds"] == "DEFAULT"), None)


def default_complaint(name: str) -> str:
    """Return the problem of a default partition, and its remedy."""
    return (
        f"{name} is attached as the default partition and holds events of months that have none: run "
        f"ALTER TABLE bridge_event DETACH PARTITION {name}, then `bridge db migrate`, then insert its rows into bridge_event"
    )


async def months_made(connection: Connection, ahead: int) -> bool:
    """Return whether all needed months exist."""
    is_attached = await months_attached(connection)
    return all(is_attached(first) for first in needed(datetime.now(UTC).date(), ahead))


def bounds_of(first: date) -> str:
    """Return Postgres' text for the bounds of the month that begins then, in UTC."""
    return f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{month(first, 1)} 00:00:00+00')"


async def months_attached(connection: Connection) -> Callable[[date], bool]:
    """Return a function from a day or UTC time to whether events received then can be written."""
    attached = {row["bounds"] for row in await connection.fetch(sql("partitions_attached"))}
    return lambda moment: bounds_of(date(moment.year, moment.month, 1)) in attached
