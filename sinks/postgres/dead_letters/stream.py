"""Any number of dead letters, read in pieces that fit into memory, each piece by its own SQL statement.

No snapshot of the database is open between two pieces, however slow the reader is. Rows are ordered by the time of the
drop and by provenance (topic, partition, offset), which never change. The last row to read is determined at the start.
A row that matches the filter during the whole read is therefore returned exactly once.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Final

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.record import Provenance
from sinks.cooperative import Share
from sinks.postgres.connection import connection
from sinks.postgres.dead_letters.filter import query
from sinks.postgres.dead_letters.letter import WholeDeadLetter, Whose, whole_of, whose_of_all
from sinks.postgres.dead_letters.pages import Place, read_lines
from sinks.postgres.records import provenance_of
from sinks.postgres.statements import sql

# The most rows of a piece, and its most bytes. One row may be as large as the raw topic's largest message.
_WHOLE: Final = (50, 4 * 1024 * 1024)
_PLACES: Final = (5000,)
BEFORE_ALL: Final = Place(datetime.min.replace(tzinfo=UTC), Provenance("", 0, 0))


async def whole_letters(dsn: str, chosen: DeadLetterFilter) -> AsyncGenerator[list[WholeDeadLetter], None]:
    """Yield whole dead letters, the earliest first, in lists that fit into memory. The caller closes the generator.

    Each dead letter has the state that it had when its list was read. Events that are dropped after the first list was
    read are not returned. Raises SinkUnavailable.
    """
    async with aclosing(_pieces(dsn, sql("dead_letters_export"), chosen, _WHOLE)) as pieces:
        async for rows in pieces:
            yield [whole_of(row) for row in rows]


async def whose(dsn: str, chosen: DeadLetterFilter, share: Share) -> AsyncGenerator[list[Whose], None]:
    """Yield the identities (site, script, event) of dead letters, thousands at a time; the caller closes the generator.

    `share` runs the decoding of rows, so that other tasks get the event loop. Raises SinkUnavailable.
    """
    async with aclosing(_pieces(dsn, sql("dead_letters_places"), chosen, _PLACES)) as pieces:
        async for rows in pieces:
            yield await share.finish(whose_of_all(rows))


async def _pieces(
    dsn: str, statement: str, chosen: DeadLetterFilter, most: tuple[int, ...]
) -> AsyncGenerator[list[Any], None]:
    async with connection(dsn, "dead letters") as conn:
        # Compiling a plan takes longer than it saves, and a generic plan may read the whole ledger.
        await conn.execute("SET jit = off")
        await conn.execute("SET plan_cache_mode = force_custom_plan")
        latest = await read_lines(conn, chosen, limit=1)
        last = Place(latest[0].dropped_at, latest[0].provenance) if latest else BEFORE_ALL
        after = BEFORE_ALL
        while after != last:
            rows = await conn.fetch(*piece_query(statement, chosen, after=after, last=last, most=most))
            if not rows:
                return
            after = Place(rows[-1]["outcome_at"], provenance_of(rows[-1]))
            yield rows


def piece_query(
    statement: str, chosen: DeadLetterFilter, *, after: Place, last: Place, most: tuple[int, ...]
) -> tuple[Any, ...]:
    """Return the SQL statement that reads the next piece of a list of dead letters, and the values bound to it.

    `after` is the last row of the previous piece, `last` the last row of all. `most` has the largest number of rows of
    a piece, or this number and the largest number of bytes.
    """
    bounds = (after.dropped_at, *after.provenance, last.dropped_at, *last.provenance)
    return query(statement, chosen, *bounds, *most)
