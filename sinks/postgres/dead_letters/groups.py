"""Dead letters by cause: counts, times and an example; and events that were dropped more than once.

A cause is the group of dead letters with one reason and one normalised message.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.reasons import DroppedReason
from sinks.cooperative import Share
from sinks.postgres.dead_letters.filter import cause_key, cause_name, query
from sinks.postgres.dead_letters.letter import DeadLetterLine, Whose, line_of, whose_of_all
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.records import named
from sinks.postgres.statements import sql

MOST_OWNERS: Final = 5
"""The largest number of sites that are listed for a cause."""


class Owner(NamedTuple):
    """The dead letters of one cause (reason and message) that belong to one site.

    The organisation is the one to which the site belongs now. `scripts` are up to three scripts (registered sources of
    a site's events), from the latest of these dead letters.
    """

    site_id: int | None
    org_id: int | None
    dead_letters: int
    scripts: list[str]


class Guessed(NamedTuple):
    """The number of a cause's latest dead letters whose unreadable body contains this site and these scripts.

    A site in an unreadable body is only a guess. `keyed_site_id` is the site in the record keys, to which these dead
    letters belong; the site in the body may be another one. None means that the record key contains no site.
    """

    site_id: int
    scripts: list[str]
    dead_letters: int
    keyed_site_id: int | None = None


class Group(NamedTuple):
    """Dead letters of one cause, that is, with one reason and one normalised error message.

    - `message` is the error without numbers, ids and quoted values; `example` is the latest dead letter.
    - `first_at` and `last_at` are the times of the first and last drop. `since` is when the oldest of the events
      dropped first was received. It is earlier than `first_at` if the events were retried before they were dropped.
    - `hours` has the number of drops in the last hour, then in each hour before it.
    - `owners` are the sites with the most dead letters; `sites` is the number of all sites.
    - `looked_up` is the number of this cause's latest open dead letters whose events were searched. The events of
      `persisted` of them are persisted, because their producers have sent them again.
    - `guesses` are the sites and scripts that occur in unreadable bodies.
    """

    cause: str
    message: str
    dead_letters: int
    first_at: datetime
    last_at: datetime
    hours: list[int]
    example: DeadLetterLine
    owners: list[Owner]
    sites: int
    since: datetime
    persisted: int = 0
    looked_up: int = 0
    guesses: Sequence[Guessed] = ()


class Repeated(NamedTuple):
    """An event that was dropped more than once, because its producer sent it repeatedly. Replays are not counted."""

    script_id: str | None
    site_id: int | None
    event_id: str
    drops: int
    first_at: datetime
    last_at: datetime


class Duplicates(NamedTuple):
    """The number of a script's events that were dropped as duplicates: every copy of an event after the first."""

    script_id: str | None
    site_id: int | None
    duplicates: int


class Often(NamedTuple):
    """The events that were dropped most often, and the duplicates of each script.

    `events` is the number of all events that were dropped more than once; it may be an estimate by the hashes of their
    ids. `scripts`, `duplicates` and `replays` are exact. `replays` is the number of duplicates that a replay sent.
    """

    repeated: list[Repeated]
    events: int
    by_script: list[Duplicates]
    scripts: int
    duplicates: int
    replays: int = 0


class Groups(NamedTuple):
    """The most frequent causes, and the number of all causes and dead letters."""

    groups: list[Group]
    causes: int
    total: int
    often: Often


async def read_groups(dsn: str, chosen: DeadLetterFilter, *, now: datetime, hours: int, limit: int) -> Groups:
    """Return at most `limit` each of causes, repeated events and scripts of the selected dead letters.

    Raises SinkUnavailable.

    `hours` is the number of hours before `now` whose drops are counted by hour.
    """
    # Each query reads every dead letter. Two connections run them in parallel, which halves the time.
    (groups, causes, total), often = await asyncio.gather(
        _groups(dsn, chosen, now, hours, limit), _often(dsn, chosen, limit)
    )
    return Groups(groups, causes, total, often)


async def _groups(
    dsn: str, chosen: DeadLetterFilter, now: datetime, hours: int, limit: int
) -> tuple[list[Group], int, int]:
    async with reading(dsn) as conn:
        rows = await conn.fetch(*query(sql("dead_letters_groups"), chosen, now, hours, limit, MOST_OWNERS))
        groups = [_group(row) for row in rows]
    return groups, rows[0]["causes"] if rows else 0, rows[0]["total"] if rows else 0


def _group(row: "asyncpg.Record") -> Group:
    return named(
        Group,
        row,
        cause=cause_name(row["cause"]),
        example=line_of(row),
        owners=[Owner(*one) for one in msgspec.json.decode(row["owners"])],
        **Group._field_defaults,
    )


async def latest_of(
    dsn: str, chosen: DeadLetterFilter, groups: Sequence[Group], most: int, share: Share
) -> list[Whose]:
    """Return the identities (site, script, event) of the latest open dead letters of these groups, at most `most`.

    `share` runs the decoding of rows, so that other tasks get the event loop. Raises SinkUnavailable.
    """
    causes = [cause_key(one.cause) for one in groups]
    times = (min(one.first_at for one in groups), max(one.last_at for one in groups))
    async with reading(dsn) as conn:
        rows: list[Any] = await conn.fetch(*query(sql("dead_letters_latest"), chosen, causes, *times, most))
    return await share.finish(whose_of_all(rows))


async def _often(dsn: str, chosen: DeadLetterFilter, limit: int) -> Often:
    """Return events that were dropped repeatedly, and duplicates by script, whether open, replayed or discarded.

    Further copies of an event are dropped as duplicates. The selection therefore includes duplicates, unless the filter
    names reasons.
    """
    everything = {"disposition": None, "dropped_reason": chosen.dropped_reason or tuple(DroppedReason)}
    chosen = chosen.model_copy(update=everything)
    async with reading(dsn) as conn:
        rows = await conn.fetch(*query(sql("dead_letters_repeated"), chosen, limit))
        scripts = await conn.fetch(*query(sql("dead_letters_duplicates"), chosen, limit))
    repeated = [Repeated(*row[: len(Repeated._fields)]) for row in map(tuple, rows)]
    by_script = [Duplicates(*row[: len(Duplicates._fields)]) for row in map(tuple, scripts)]
    # If the query returned every repeated event, their number is exact; otherwise it is the number of repeated hashes.
    events = len(rows) if len(rows) < limit else max(len(rows), rows[0]["hashes"])
    totals = [scripts[0][name] for name in ("scripts", "total", "replays")] if scripts else [0, 0, 0]
    return Often(repeated, events, by_script, *totals)
