"""The stored rows of a month of events: read for an archive, digested, and brought back from one."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from schemas.pipeline.archive import ArchiveColumn, HourSums
from sinks.archives.columns import digested, selected
from sinks.archives.digests import Values
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import Connection, connection
from sinks.postgres.records import named
from sinks.postgres.schema.migrate import applied
from sinks.postgres.statements import sql

_FETCHED: Final = 500
"""Rows of one FETCH. A row of an event of the largest size has some 100 kB."""
ALL: Final = "true"
OF_THIS_TRANSACTION: Final = "xmin = pg_current_xact_id()::xid"
"""The condition of rows that this transaction has written, outside of savepoints."""


class MonthRows(NamedTuple):
    """The rows of a month in one snapshot: columns, sums by hour, migrations of the schema, and the snapshot's time."""

    conn: Connection
    month: Month
    columns: tuple[ArchiveColumn, ...]
    hours: list[HourSums]
    migrations: list[str]
    taken_at: datetime

    def batches(self, hour: datetime) -> AsyncIterator[list[Values]]:
        """Yield the rows of an hour in batches, in the order of their places."""
        return _batches(self.conn, self.columns, hour)


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
        yield MonthRows(conn, month, columns, hours, sorted(await applied(conn)), taken_at)


async def read_columns(conn: Connection) -> tuple[ArchiveColumn, ...]:
    """Return the columns of the table of events."""
    return tuple([named(ArchiveColumn, row) for row in await conn.fetch(sql("archive_columns"))])


async def read_hours(
    conn: Connection, month: Month, columns: Sequence[ArchiveColumn], condition: str = ALL
) -> list[HourSums]:
    """Return the sums and digests of a month's rows by hour and raw partition, within a transaction of the caller.

    The digests are of these columns. `condition` is ALL or OF_THIS_TRANSACTION.
    """
    await conn.execute(sql("archive_memory"))
    statement = sql("archive_hours") % {"digested": digested(tuple(columns)), "condition": condition}
    return [named(HourSums, row) for row in await conn.fetch(statement, month.begin, month.end)]


async def _batches(conn: Connection, columns: tuple[ArchiveColumn, ...], hour: datetime) -> AsyncIterator[list[Values]]:
    statement = sql("archive_rows") % {"selected": selected(columns)}
    cursor: Any = await conn.cursor(statement, hour, hour + timedelta(hours=1))
    while rows := await cursor.fetch(_FETCHED):
        yield [tuple(row) for row in rows]
