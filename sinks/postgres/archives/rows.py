"""The stored rows of a month of events: read for an archive, digested, and brought back from one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from schemas.pipeline.archive import ArchiveColumn, HourSums
from sinks.archives.columns import digested, names, selected
from sinks.archives.digests import EPOCH, Values
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import Connection, connection
from sinks.postgres.records import named
from sinks.postgres.schema.migrate import applied
from sinks.postgres.statements import sql

_FETCHED: Final = 500
"""Rows of one FETCH. A row of an event of the largest size has some 100 kB."""
_HOUR: Final = 3_600_000_000
ALL: Final = "true"
OF_THIS_TRANSACTION: Final = "xmin = pg_current_xact_id()::xid"
"""The condition of rows that this transaction has written, outside of savepoints."""


class MonthRows(NamedTuple):
    """The rows of a month in one snapshot: columns, sums by hour, migrations of the schema, and the snapshot's time.

    `reader` reads the rows of one hour after the other.
    """

    conn: Connection
    reader: "HourReader"
    month: Month
    columns: tuple[ArchiveColumn, ...]
    hours: list[HourSums]
    migrations: list[str]
    taken_at: datetime


class HourReader:
    """The rows of hours, which are read in their order.

    Each query reads a day. A query for each hour would read a month without summaries in its BRIN index 700 times, and
    one for the whole month would sort it on the disk.
    """

    def __init__(self, conn: Connection, columns: tuple[ArchiveColumn, ...]) -> None:
        self._conn = conn
        self._statement = sql("archive_rows") % {"selected": selected(columns)}
        self._received = names(columns).index("received_at")
        self._day: datetime | None = None
        # The iterator closes its cursor at the end, which frees the memory of the day's sort.
        self._rows: Any = None
        self._ahead: Values | None = None

    async def batches(self, hour: datetime) -> AsyncIterator[list[Values]]:
        """Yield the rows of an hour in batches, in the order of their places; hours are asked for in their order."""
        day, end = hour.replace(hour=0), round((hour - EPOCH) / timedelta(microseconds=1)) + _HOUR
        if day != self._day:
            self._day = day
            cursor = self._conn.cursor(self._statement, day, day + timedelta(days=1), prefetch=_FETCHED)
            self._rows = aiter(cursor)
            self._ahead = await self._next()
        batch: list[Values] = []
        while self._ahead is not None and self._ahead[self._received] < end:
            batch.append(self._ahead)
            if len(batch) == _FETCHED:
                yield batch
                batch = []
            self._ahead = await self._next()
        if batch:
            yield batch

    async def _next(self) -> Values | None:
        row = await anext(self._rows, None)
        return None if row is None else tuple(row)


@asynccontextmanager
async def month_rows(dsn: str, month: Month) -> AsyncIterator[MonthRows]:
    """Read a month in one snapshot, which is held for the `with` block; raises SinkUnavailable."""
    async with (
        connection(dsn, "archive") as conn,
        conn.transaction(isolation="repeatable_read", readonly=True),
    ):
        # The lock comes before the snapshot: a removal that the snapshot does not show has not emptied the table then.
        await conn.execute(sql("audit_events_lock"))
        columns = await read_columns(conn)
        taken_at = await conn.fetchval("SELECT now()")
        hours = await read_hours(conn, month, columns)
        yield MonthRows(conn, HourReader(conn, columns), month, columns, hours, sorted(await applied(conn)), taken_at)


async def read_columns(conn: Connection) -> tuple[ArchiveColumn, ...]:
    """Return the columns of the table of events."""
    return tuple([named(ArchiveColumn, row) for row in await conn.fetch(sql("archive_columns"))])


async def read_hours(
    conn: Connection, month: Month, columns: Sequence[ArchiveColumn], condition: str = ALL
) -> list[HourSums]:
    """Return the sums and digests of a month's rows by hour and raw partition, within a transaction of the caller.

    The digests are of these columns. `condition` is ALL or OF_THIS_TRANSACTION.
    """
    await conn.execute(sql("backup_session"))
    await conn.execute(sql("archive_memory"))
    statement = sql("archive_hours") % {"digested": digested(tuple(columns)), "condition": condition}
    return [named(HourSums, row) for row in await conn.fetch(statement, month.begin, month.end)]
