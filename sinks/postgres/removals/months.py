"""The removal of a month of events, by its archive. Rows and closing entries change in one transaction, which the caller opens.

The month's partition is emptied and stays attached. An event of the month that arrives late is stored in it like before.
"""

from datetime import UTC, datetime
from typing import Any

from schemas.errors import PreconditionFailed
from schemas.pipeline.archive import ArchivedPart
from schemas.pipeline.retention import Removed
from sinks.archives.columns import names
from sinks.archives.digests import added_up, differences
from sinks.postgres.archives.entries import write_entries
from sinks.postgres.archives.month import Month
from sinks.postgres.archives.rows import read_columns, read_hours
from sinks.postgres.connection import Connection
from sinks.postgres.schema.monthly_partitions import bounds_of
from sinks.postgres.schema.monthly_partitions import month as shifted
from sinks.postgres.statements import sql


async def next_month(conn: Connection, before: datetime, position: dict[str, Any] | None) -> Month | None:
    """Return the oldest month with events after that of the position, and wholly before `before`; None without one."""
    begin = datetime(1, 1, 2, tzinfo=UTC)
    if position is not None:
        begin = Month(shifted(datetime.fromisoformat(position["month"]).date(), 1)).begin
    found = await conn.fetchval(sql("months_filled"), begin, before)
    return None if found is None else Month(found.date())


async def remove_month(conn: Connection, month: Month, part: ArchivedPart, run_id: str) -> Removed:
    """Remove a month's rows if they are exactly those of the archive's part, and write their closing entries.

    Raises PreconditionFailed otherwise. Nothing writes to the month's partition while its rows are compared.
    """
    name = quoted(await _partition_of(conn, month))
    await conn.execute(sql("month_hold") % {"name": name})
    await _check(conn, month, part)
    await write_entries(conn, run_id, part.archived_as, part.partitions, restored=False)
    await conn.execute(sql("month_empty") % {"name": name})
    rows, size = sum(one.rows for one in part.partitions), sum(one.bytes for one in part.partitions)
    return Removed(rows, size, {"month": month.begin.isoformat()})


async def _check(conn: Connection, month: Month, part: ArchivedPart) -> None:
    if missing := sorted({*names(await read_columns(conn))} - {*names(part.columns)}):
        raise PreconditionFailed(
            f"{month}: the archive lacks the columns {', '.join(missing)}, which the events have: run `bridge archive create {month}`"
        )
    found = added_up(await read_hours(conn, month, part.columns))
    if problems := differences(part.partitions, found, f"{month}"):
        raise PreconditionFailed(
            f"{month}: the stored events are not those of the archive {part.archived_as.partition(' ')[0]}: {'; '.join(problems[:5])}; "
            f"run `bridge archive create {month}` and `bridge archive verify {month}`, or `bridge audit` if none came since"
        )


async def _partition_of(conn: Connection, month: Month) -> str:
    """Return the name of the partition that has exactly this month; raises PreconditionFailed."""
    bounds = bounds_of(month.first)
    for row in await conn.fetch(sql("partitions_attached")):
        if row["bounds"] == bounds:
            name: str = row["name"]
            return name
    raise PreconditionFailed(
        f"{month}: its events are in no partition of the month's own, so that they can't be removed: see docs/retention.md"
    )


def quoted(name: str) -> str:
    """Return a name of the catalogue as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'
