"""One batch of each kind of removal. Rows and closing entries change in one transaction, which the caller opens.

Each function removes at most `most` rows (windows: of one hour or day, and of at least one site), and returns the position of the next batch. The
position is stored in the same transaction, so a removal that is interrupted continues after its last batch, and no row
is counted twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from schemas.pipeline.retention import Removed, RetentionKind
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql

MOST_BYTES: Final = 64 * 1024 * 1024
"""The most bytes that the rows of one batch have, if it has more than one."""
_KEYS_IN_BLOCK: Final = 140
"""The most keys in a block of the key table."""
_BEGINNING: Final = {"topic": "", "partition": -1, "offset": -1}

Position = dict[str, Any] | None


async def remove_batch(
    conn: Connection, kind: RetentionKind, before: datetime, position: Position, run_id: str, most: int
) -> Removed:
    """Remove the next batch of rows of this kind from before `before`, and write its closing entries.

    `position` is that of the batch before, None for the first. `most` is the largest number of rows.
    """
    return await _BATCHES[kind](conn, kind, before, position, run_id, most)


async def _ledger(
    conn: Connection, kind: RetentionKind, before: datetime, position: Position, run_id: str, most: int
) -> Removed:
    # The page is read before the lock is taken, which replays wait for. The removal checks each row again.
    page = await _page(conn, sql("ledger_closed"), before, position, most)
    if not page:
        return Removed(0, 0, None)
    await conn.execute(sql("ledger_close_lock"))
    return _removed(await conn.fetch(sql("ledger_close"), run_id, kind, *_columns(page), before), _place(page[-1]))


async def _payloads(
    conn: Connection, kind: RetentionKind, before: datetime, position: Position, run_id: str, most: int
) -> Removed:
    page = await _page(conn, sql("payloads_blankable"), before, position, most)
    if not page:
        return Removed(0, 0, None)
    return _removed(await conn.fetch(sql("payloads_blank"), run_id, kind, *_columns(page), before), _place(page[-1]))


async def _page(conn: Connection, statement: str, before: datetime, position: Position, most: int) -> list[Any]:
    at = position or _BEGINNING
    rows: list[Any] = await conn.fetch(statement, at["topic"], at["partition"], at["offset"], before, most, MOST_BYTES)
    return rows


async def _windows(
    conn: Connection, kind: RetentionKind, before: datetime, position: Position, run_id: str, most: int
) -> Removed:
    unit, minutes = ("hour", 60) if kind is RetentionKind.MINUTE_WINDOWS else ("day", 1440)
    begin = datetime.fromisoformat(position["from"]) if position else datetime(1, 1, 2, tzinfo=UTC)
    found = await conn.fetchrow(sql("windows_next"), begin, before, unit, minutes, most)
    if found is None:
        return Removed(0, 0, None)
    start, last_site = found
    end = start + timedelta(minutes=minutes)
    rows = await conn.fetch(sql("windows_add_up"), run_id, kind, start, end, minutes, last_site)
    # The hour or day may have windows of more sites. Those that are added up are not found again.
    return _removed(rows, {"from": start.isoformat()})


async def _keys(
    conn: Connection, kind: RetentionKind, before: datetime, position: Position, run_id: str, most: int
) -> Removed:
    first = position["block"] if position else 0
    if first >= await conn.fetchval(sql("keys_blocks")):
        return Removed(0, 0, None)
    after = first + max(1, most // _KEYS_IN_BLOCK)
    rows = await conn.fetch(sql("keys_close"), run_id, kind, first, after, before)
    return _removed(rows, {"block": after})


async def _runs(
    conn: Connection, kind: RetentionKind, before: datetime, _position: Position, run_id: str, most: int
) -> Removed:
    rows = await conn.fetch(sql("runs_close"), run_id, kind, before, most)
    return _removed(rows, {} if rows else None)


def _removed(entries: list[Any], position: Position) -> Removed:
    return Removed(sum(one["rows"] for one in entries), sum(one["bytes"] for one in entries), position)


def _columns(page: list[Any]) -> list[list[Any]]:
    return [[row[name] for row in page] for name in ("raw_topic", "raw_partition", "raw_offset")]


def _place(row: Any) -> dict[str, Any]:
    return {"topic": row["raw_topic"], "partition": row["raw_partition"], "offset": row["raw_offset"]}


_Batch = Callable[[Connection, RetentionKind, datetime, Position, str, int], Awaitable[Removed]]
_BATCHES: Final[Mapping[RetentionKind, _Batch]] = {
    RetentionKind.LEDGER: _ledger,
    RetentionKind.PAYLOADS: _payloads,
    RetentionKind.MINUTE_WINDOWS: _windows,
    RetentionKind.HOUR_WINDOWS: _windows,
    RetentionKind.KEYS: _keys,
    RetentionKind.RUNS: _runs,
}
