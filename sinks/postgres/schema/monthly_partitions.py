"""Months of `bridge_event`, made ahead of need."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial

import asyncpg

from schemas.errors import EnvironmentUnfit
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql
from sinks.postgres.table_locks import PATIENCE_SECONDS, Tell, locking, log_awaited

# received_at reaches back at most this far (a producer's clamped time), and retries and replays keep theirs.
MONTHS_BACK = 1
SUMMARIZE_LOCK_MS = 500
LOCK_KEY = 0x6768_6F73_746D  # "ghostm": beside the migrations' own, which is held around this one


def month(first: date, shift: int) -> date:
    """The first day of the month `shift` months from the month of `first`."""
    index = first.year * 12 + first.month - 1 + shift
    return date(index // 12, index % 12 + 1, 1)


def needed(today: date, ahead: int) -> list[date]:
    """First days of the months that must exist: the last one, this one, and `ahead` more."""
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
    """Makes the missing months by the connection, which leads to `dsn`; returns the names of all that are needed.

    A new month locks `bridge_event`, for which it waits as `locking` does. Raises EnvironmentUnfit if it gets no lock
    within `lock_seconds`, or if a default partition holds events of a month that is missing.
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
                raise EnvironmentUnfit(f"{name} can't be made: {default_complaint(default)}") from error
        names.append(name)
    await summarize_months(connection)
    return names


async def _make_month(connection: Connection, statement: str) -> None:
    # IF NOT EXISTS alone still fails when two sessions make the same table at once.
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
    await connection.execute(statement)


async def summarize_months(connection: Connection) -> None:
    """Has Postgres summarise new pages of months in BRIN indexes by itself: without, a query of two days reads the month.

    The option can't be set on the parent, from which new months would take it.
    """
    for row in await connection.fetch(sql("partitions_unsummarized")):
        # Writers would queue behind a wait for a long query of the month; the next call tries again.
        with suppress(asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError):
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{SUMMARIZE_LOCK_MS}ms'")
                await connection.execute(sql("partition_summarize") % dict(row))


async def default_partition(connection: Connection) -> str | None:
    """The name of the partition that takes the events of months which are not there, if somebody has attached one."""
    rows = await connection.fetch(sql("partitions_attached"))
    return next((row["name"] for row in rows if row["bounds"] == "DEFAULT"), None)


def default_complaint(name: str) -> str:
    """What is wrong about it, and how it is mended."""
    return (
        f"{name} is attached as the default partition and holds events of months that have none: run "
        f"ALTER TABLE bridge_event DETACH PARTITION {name}, then `bridge db migrate`, then insert its rows into bridge_event"
    )


async def months_made(connection: Connection, ahead: int) -> bool:
    """Whether all months that are needed are there."""
    is_attached = await months_attached(connection)
    return all(is_attached(first) for first in needed(datetime.now(UTC).date(), ahead))


def bounds_of(first: date) -> str:
    """What Postgres says of the partition of the month that begins then, in UTC."""
    return f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{month(first, 1)} 00:00:00+00')"


async def months_attached(connection: Connection) -> Callable[[date], bool]:
    """Says of a day, or a time in UTC, whether events that were received then can be written."""
    attached = {row["bounds"] for row in await connection.fetch(sql("partitions_attached"))}
    return lambda moment: bounds_of(date(moment.year, moment.month, 1)) in attached
