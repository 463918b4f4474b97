"""An export is read in pieces: a dead letter that fits throughout appears once, in order, with any slow reader."""

from contextlib import aclosing
from datetime import timedelta

import asyncpg
from support.events.dead_letters import DROPPED_AT, add_dropped, dropped

from schemas.documents.dead_letter_filter import DeadLetterFilter
from sinks.cooperative import unshared
from sinks.postgres.dead_letters.stream import whole_letters, whose

ROWS = 230
MIB = 1024 * 1024


async def execute(dsn: str, statement: str, *values: object) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement, *values)
    finally:
        await connection.close()


async def test_export_holds_each_once_while_the_ledger_changes(database_url: str) -> None:
    """Equal times cause no gap; dead letters dropped after the start or closed before their piece are left out."""
    rows = [dropped(number, dropped_at=DROPPED_AT + timedelta(seconds=number // 100)) for number in range(ROWS)]
    await add_dropped(database_url, rows)
    seen: list[int] = []
    async with aclosing(whole_letters(database_url, DeadLetterFilter())) as pieces:
        async for piece in pieces:
            if not seen:
                await add_dropped(database_url, [dropped(ROWS + 1, dropped_at=DROPPED_AT + timedelta(days=1))])
                await execute(
                    database_url, "UPDATE bridge_event_raw SET disposition = 'discarded' WHERE raw_offset IN (3, 222)"
                )
            seen += [one.line.provenance.offset for one in piece]
    assert seen == [number for number in range(ROWS) if number != 222]


async def test_export_holds_no_snapshot_between_pieces(database_url: str) -> None:
    """A slow reader of an export, or of a discard's provenances, doesn't hold up vacuum."""
    await add_dropped(database_url, [dropped(number) for number in range(ROWS)])
    connection = await asyncpg.connect(database_url)
    try:
        async with aclosing(whole_letters(database_url, DeadLetterFilter())) as pieces:
            await anext(pieces)
            assert await held(connection) == [("idle", None)]
        async with aclosing(whose(database_url, DeadLetterFilter(), unshared())) as pieces:
            await anext(pieces)
            assert await held(connection) == [("idle", None)]
    finally:
        await connection.close()


async def test_large_ones_are_read_some_at_a_time(database_url: str) -> None:
    """Each piece has up to 4 MiB and at least one dead letter."""
    sizes = [0, 3, 1, 1, 9, 1, 1, 1, 1, 1]
    await add_dropped(database_url, [dropped(number, payload=b"x" * size * MIB) for number, size in enumerate(sizes)])
    async with aclosing(whole_letters(database_url, DeadLetterFilter())) as pieces:
        seen = [[one.line.provenance.offset for one in piece] async for piece in pieces]
    assert seen == [[0, 1], [2, 3], [4], [5, 6, 7], [8, 9]]


async def held(connection: asyncpg.Connection) -> list[tuple[str, object]]:
    """The state and snapshot of the sessions that read dead letters."""
    rows = await connection.fetch(
        "SELECT state, backend_xmin FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE '%dead letters%'"
    )
    return [tuple(row) for row in rows]
