"""Pages of dead letters, the latest first, with the number of all selected dead letters."""

import re
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.errors import InvalidInput
from schemas.events.raw_event import parse_instant
from schemas.pipeline.record import Provenance
from sinks.postgres.connection import Connection
from sinks.postgres.dead_letters.filter import query
from sinks.postgres.dead_letters.letter import DeadLetterLine, line_of
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.statements import sql

_PLACE: Final = re.compile(r"([^/]{1,40})/(.+)", re.DOTALL)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


class Place(NamedTuple):
    """The cursor after a page of dead letters: drop time and provenance (topic, partition, offset) of its last one.

    Pages are ordered from the latest drop to the earliest. Events that are dropped while pages are read would be on the
    first page, so no later page contains them.
    """

    dropped_at: datetime
    provenance: Provenance

    def __str__(self) -> str:
        return f"{self.dropped_at.isoformat()}/{self.provenance}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Parse the text of a cursor; raises InvalidInput."""
        match = _PLACE.fullmatch(text)
        try:
            if match is None:
                raise ValueError
            return cls(parse_instant(match[1]), Provenance.parse(match[2]))
        except ValueError:
            raise InvalidInput(
                f"{text[:80]!r} is not the end of a page; pass the value of `next` from the page before"
            ) from None


class Page(NamedTuple):
    """A page of dead letters: its lines, the number of lines on all pages, and the cursor of the next page or None."""

    lines: list[DeadLetterLine]
    total: int
    following: Place | None


async def page(dsn: str, chosen: DeadLetterFilter, *, limit: int, after: Place | None = None) -> Page:
    """Return a page of the dead letters that match the filter; raises SinkUnavailable."""
    async with reading(dsn) as conn:
        lines = await read_lines(conn, chosen, limit=limit + 1, after=after)
        # A first page that is not full has all lines, which need no further count.
        whole = after is None and len(lines) <= limit
        total = len(lines) if whole else await conn.fetchval(*query(sql("dead_letters_total"), chosen))
    following = Place(lines[limit - 1].dropped_at, lines[limit - 1].provenance) if len(lines) > limit else None
    return Page(lines[:limit], total, following)


def page_query(chosen: DeadLetterFilter, *, limit: int, after: Place | None) -> tuple[Any, ...]:
    """Return the SQL statement that reads a page of dead letters, and the values bound to its parameters."""
    dropped_at, provenance = (_LATEST, Provenance("", 0, 0)) if after is None else after
    return query(sql("dead_letters_page"), chosen, dropped_at, *provenance, limit)


async def read_lines(
    conn: Connection, chosen: DeadLetterFilter, *, limit: int, after: Place | None = None
) -> list[DeadLetterLine]:
    """Return at most `limit` dead letters that match the filter, the latest first."""
    return [line_of(row) for row in await conn.fetch(*page_query(chosen, limit=limit, after=after))]


async def count(dsn: str, chosen: DeadLetterFilter) -> dict[str | None, int]:
    """Return the number of selected dead letters by disposition (such as open); the key None is for duplicates.

    Raises SinkUnavailable.
    """
    async with reading(dsn) as conn:
        rows = await conn.fetch(*query(sql("dead_letters_count"), chosen))
    return {row["disposition"]: row["dead_letters"] for row in rows}
