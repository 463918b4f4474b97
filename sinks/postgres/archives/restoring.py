"""The return of archived rows into Postgres. Rows and reversing entries change in one transaction."""

from collections.abc import AsyncIterator

from schemas.errors import Damaged, PreconditionFailed
from schemas.pipeline.archive import ArchivedPart
from sinks.archives.columns import names
from sinks.archives.copy_lines import OPTIONS, line_encoder
from sinks.archives.digests import Values, added_up, differences
from sinks.postgres.archives.entries import removed_parts, write_entries
from sinks.postgres.archives.month import Month
from sinks.postgres.archives.rows import OF_THIS_TRANSACTION, read_columns, read_hours
from sinks.postgres.connection import Connection, connection
from sinks.postgres.schema.monthly_partitions import make_month
from sinks.postgres.statements import sql

_AT_ONCE = 100
"""Rows that are encoded without a pause for other tasks."""


async def restore_rows(
    dsn: str, month: Month, part: ArchivedPart, rows: AsyncIterator[list[Values]], run_id: str
) -> int:
    """Bring a part's rows back, in one transaction with the entries that reverse its removal; return their number.

    Raises PreconditionFailed if closing entries do not account for the part's rows as removed, or if one of the rows is
    stored, and Damaged if the rows are not those of the manifest.
    """
    async with connection(dsn, "archive") as conn:
        await make_month(dsn, conn, month.first)
        async with conn.transaction():
            await _restore(conn, month, part, rows, run_id)
    return sum(one.rows for one in part.partitions)


async def _restore(
    conn: Connection, month: Month, part: ArchivedPart, rows: AsyncIterator[list[Values]], run_id: str
) -> None:
    await conn.execute(sql("backup_session"))
    await conn.execute(sql("archive_restore_lock"))
    await _check_removed(conn, month, part)
    await _check_columns(conn, month, part)
    await conn.copy_to_table("bridge_event", source=_lines(part, rows), columns=names(part.columns), **OPTIONS)
    restored = added_up(await read_hours(conn, month, part.columns, OF_THIS_TRANSACTION))
    if problems := differences(part.partitions, restored, f"the restored {month}"):
        raise Damaged(f"{month}: the restored rows are not those of the archive: {'; '.join(problems[:5])}")
    if (doubled := await conn.fetchrow(sql("archive_doubled"), month.begin, month.end)) is not None:
        place = ":".join(map(str, doubled))
        raise PreconditionFailed(f"{month}: the event {place} of the archive is stored already; nothing was restored")
    await write_entries(conn, run_id, part.archived_as, part.partitions, restored=True)


async def _check_removed(conn: Connection, month: Month, part: ArchivedPart) -> None:
    removed = await removed_parts(conn, part.archived_as.rpartition("/")[0])
    wanted = {(one.topic, one.partition): one.rows for one in part.partitions}
    if removed.get(part.archived_as) != wanted:
        raise PreconditionFailed(
            f"{month}: no closing entries account for the rows of {part.archived_as.partition(' ')[0]} as removed, so that they are "
            "stored, or belong to another database; nothing was restored"
        )


async def _check_columns(conn: Connection, month: Month, part: ArchivedPart) -> None:
    if missing := [one for one in names(part.columns) if one not in names(await read_columns(conn))]:
        raise PreconditionFailed(
            f"{month}: the archive has the columns {', '.join(missing)}, which bridge_event lacks: add them, then run the command again"
        )


async def _lines(part: ArchivedPart, rows: AsyncIterator[list[Values]]) -> AsyncIterator[bytes]:
    encode = line_encoder(part.columns)
    async for batch in rows:
        for start in range(0, len(batch), _AT_ONCE):
            yield encode(batch[start : start + _AT_ONCE])
