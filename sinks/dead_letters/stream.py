"""Any number of dead letters, in pieces that fit into memory: one snapshot, read by a cursor of the server's."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from schemas.dead_letter_filter import DeadLetterFilter
from schemas.record import Provenance
from sinks.dead_letters.filter import conditions
from sinks.dead_letters.letter import WholeDeadLetter, whole_of
from sinks.dead_letters.reading import reading
from sinks.postgres import sql

# Each may be as large as the raw topic's largest message.
_WHOLE_ROWS: Final = 50
_PLACES: Final = 5000


async def whole_letters(dsn: str, chosen: DeadLetterFilter) -> AsyncGenerator[list[WholeDeadLetter], None]:
    """Dead letters whole, the earliest first, some at a time; raises SinkUnavailable. To be closed by its caller."""
    async with aclosing(_pieces(dsn, sql("dead_letters_export"), chosen, _WHOLE_ROWS)) as pieces:
        async for rows in pieces:
            yield [whole_of(row) for row in rows]


async def places(dsn: str, chosen: DeadLetterFilter) -> AsyncGenerator[list[Provenance], None]:
    """Where they stand, in no order, some thousands at a time; raises SinkUnavailable. To be closed by its caller."""
    async with aclosing(_pieces(dsn, sql("dead_letters_places"), chosen, _PLACES)) as pieces:
        async for rows in pieces:
            yield [Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"]) for row in rows]


async def _pieces(dsn: str, statement: str, chosen: DeadLetterFilter, size: int) -> AsyncGenerator[list[Any], None]:
    found = conditions(chosen)
    async with reading(dsn) as conn:
        cursor = await conn.cursor(found.within(statement), *found.parameters)
        while rows := await cursor.fetch(size):
            yield rows
