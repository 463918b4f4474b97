"""The monthly partitions of `bridge_event`, which migrations and workers create before they are needed."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import partial

import asyncpg

from schemas.errors import PreconditionFailed
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql
from sinks.postgres.table_locks import PATIENCE_SECONDS, Tell, locking, log_awaited

# The earliest month of received_at, counted back from now: a producer's time is limited to it, and retries and replays
# keep received_at.
MONTHS_BACK = 1
SUMMARIZE_LOCK_MS = 500
LOCK_KEY = 0x6768_6F73_746D  # the text "ghostm" as a number: another lock than the migrations', which may be held at the same time


def month(first: date, shift: int) -> date:
    """Return the first day of the month `shift` months from the month of `first`."""
    index = first.year * 12 + first.month - 1 + shift
    return date(index // 12, index % 12 + 1, 1)


def needed(today: date, ahead: int) -> list[date]:
    """Return the first days of the months that need a partition: last month, this month, and the next `ahead`."""
    return [month(today, shift) for shift in range(-MONTHS_BACK, ahead + 1)]


async def make_partitions(
    dsn: str,
    connection: Connection,
    ahead: int,
    *,
    lock_seconds: float = PATIENCE_SECONDS,
    tell: Tell = log_awaited,
) -> None:
    """Create the missing monthly partitions of `bridge_event`.

    `connection` is a connection to the database `dsn`. To create a partition locks `bridge_event`, which is tried
    repeatedly; `tell` is called with a line for each try that times out. Raises PreconditionFailed if the lock is not
    free within `lock_seconds`, or if a default partition has events of a missing month.
    """
    for first in needed(datetime.now(UTC).date(), ahead):
        await make_month(dsn, connection, first, lock_seconds=lock_seconds, tell=tell)
    await summarize_months(connection)


async def make_month(
    dsn: str,
    connection: Connection,
    first: date,
    *,
    lock_seconds: float = PATIENCE_SECONDS,
    tell: Tell = log_awaited,
) -> None:
    """Create the partition of one month if it is missing, as `make_partitions` does; `first` is the month's first day."""
    name = f"bridge_event_{first:%Y_%m}"
    if await connection.fetchval("SELECT to_regclass($1)", name) is not None:
        return
    bounds = {"name": name, "first": f"{first} 00:00:00+00", "after": f"{month(first, 1)} 00:00:00+00"}
    make = partial(_make_month, connection, sql("event_partition_create") % bounds)
    try:
        await locking(dsn, connection, name, make, seconds=lock_seconds, tell=tell)
    except asyncpg.CheckViolationError as error:
        if not (default := await default_partition(connection)):
            raise
        raise PreconditionFailed(f"{name} can't be created: {default_complaint(default)}") from error


async def _make_month(connection: Connection, statement: str) -> None:
    # IF NOT EXISTS is not enough: it fails when two sessions create the same table at the same time.
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
    await connection.execute(statement)


async def summarize_months(connection: Connection) -> None:
    """Let autovacuum summarise new pages in the BRIN indexes of the monthly partitions.

    Without summaries, a query of two days reads the partition of a whole month.

    The option is set on each partition, because Postgres does not accept it on the parent table's index.
    """
    for row in await connection.fetch(sql("partitions_unsummarized")):
        # Without the time-out, writers would queue behind a wait for a long query of the month. The next call tries
        # again.
        with suppress(asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError):
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{SUMMARIZE_LOCK_MS}ms'")
                await connection.execute(sql("partition_summarize") % dict(row))


async def default_partition(connection: Connection) -> str | None:
    """Return the name of the default partition, for events of months without a partition; None if it does not exist."""
    rows = await connection.fetch(sql("partitions_attached"))
    return next((row["name"] for row in rows if row["bounds"] == "DEFAULT"), None)


def default_complaint(name: str) -> str:
    """Return a text with the problem of a default partition and its remedy."""
    return (
        f"{name} is the default partition and has events of months without a partition of their own: run "
        f"ALTER TABLE bridge_event DETACH PARTITION {name}, then `bridge db migrate`, then insert its rows into bridge_event"
    )


async def months_missing(connection: Connection, ahead: int) -> list[date]:
    """Return the first days of the months that need a partition and have none."""
    is_attached = await months_attached(connection)
    return [first for first in needed(datetime.now(UTC).date(), ahead) if not is_attached(first)]


def bounds_of(first: date) -> str:
    """Return the bounds of a month's partition as the text that Postgres shows for them, in UTC."""
    return f"FOR VALUES FROM ('{first} 00:00:00+00') TO ('{month(first, 1)} 00:00:00+00')"


async def months_attached(connection: Connection) -> Callable[[date], bool]:
    """Return a function: for a day, or a time in UTC, it returns whether a partition for the events exists."""
    attached = {row["bounds"] for row in await connection.fetch(sql("partitions_attached"))}
    return lambda moment: bounds_of(date(moment.year, moment.month, 1)) in attached
