"""Dead letters by cause: counts, first occurrence and an example; and events that are dropped repeatedly."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.reasons import DroppedReason
from sinks.cooperative import Share
from sinks.postgres.dead_letters.filter import cause_key, cause_name, conditions
from sinks.postgres.dead_letters.letter import DeadLetterLine, Whose, line_of, whose_of_all
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.statements import sql

MOST_OWNERS: Final = 5
"""The most sites that are named for a cause."""


class Owner(NamedTuple):
    """The dead letters of a cause of one site; the organisation is the registry's current one.

    `scripts` are up to three that the latest of them name.
    """

    site_id: int | None
    org_id: int | None
    dead_letters: int
    scripts: list[str]


class Guessed(NamedTuple):
    """The number of a cause's latest dead letters whose text has this site and these scripts, unproven.

    `keyed_site_id` is the site in their record keys, to which they belong; it may differ from the one in the text.
    None is no readable site.
    """

    site_id: int
    scripts: list[str]
    dead_letters: int
    keyed_site_id: int | None = None


class Group(NamedTuple):
    """Dead letters of one cause. `hours` has the count of the last hour first, then of the hours before it.

    `first_at` and `last_at` are times of drops; `since` is when the oldest of those dropped first was received, which
    is earlier if events were retried first.

    `message` is the error without numbers, ids and quoted values, `example` the latest dead letter. `owners` are the
    sites with the most dead letters, and `sites` is the number of all sites. Of the `looked_up` latest open ones,
    `persisted` are known to be persisted from another record: their producers have sent them again. `guesses` are the
    sites and scripts in the text of those where they can't be read.
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
    """An event that was dropped more than once, including copies of it, without its replays."""

    script_id: str | None
    site_id: int | None
    event_id: str
    drops: int
    first_at: datetime
    last_at: datetime


class Duplicates(NamedTuple):
    """The number of a script's events that were dropped as duplicates; each copy after the first counts."""

    script_id: str | None
    site_id: int | None
    duplicates: int


class Often(NamedTuple):
    """The most frequent events that were dropped more than once, and duplicates by script.

    `events` is the number of such events, by the hashes of their ids. `scripts`, `duplicates` and `replays` are exact;
    `replays` are duplicates that a replay sent.
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
    """Return at most `limit` groups, repeated events and scripts, of the filter's selection; raises SinkUnavailable."""
    # Each query reads every dead letter: in parallel, on two connections, they take half as long.
    (groups, causes, total), often = await asyncio.gather(
        _groups(dsn, chosen, now, hours, limit), _often(dsn, chosen, limit)
    )
    return Groups(groups, causes, total, often)


async def _groups(
    dsn: str, chosen: DeadLetterFilter, now: datetime, hours: int, limit: int
) -> tuple[list[Group], int, int]:
    found = conditions(chosen, after=4)
    async with reading(dsn) as conn:
        text = found.within(sql("dead_letters_groups"))
        rows = await conn.fetch(text, now, hours, limit, MOST_OWNERS, *found.parameters)
        groups = [_group(row) for row in rows]
    return groups, rows[0]["causes"] if rows else 0, rows[0]["total"] if rows else 0


def _group(row: "asyncpg.Record") -> Group:
    return Group(
        cause_name(row["cause"]), row["message"], row["dead_letters"], row["first_at"], row["last_at"], row["hours"],
        line_of(row), [Owner(*one) for one in msgspec.json.decode(row["owners"])], row["sites"], row["since"],
    )  # fmt: skip


async def latest_of(
    dsn: str, chosen: DeadLetterFilter, groups: Sequence[Group], most: int, share: Share
) -> list[Whose]:
    """Return the identities of the latest open ones of these groups, at most `most` in all; raises SinkUnavailable.

    `share` is the work's share of the event loop.
    """
    found = conditions(chosen, after=4)
    causes = [cause_key(one.cause) for one in groups]
    times = (min(one.first_at for one in groups), max(one.last_at for one in groups))
    async with reading(dsn) as conn:
        text = found.within(sql("dead_letters_latest"))
        rows: list[Any] = await conn.fetch(text, causes, *times, most, *found.parameters)
    return await share.finish(whose_of_all(rows))


async def _often(dsn: str, chosen: DeadLetterFilter, limit: int) -> Often:
    """Ignore dispositions, and include duplicates unless a reason is named, since a repeated id is one."""
    everything = {"disposition": None, "dropped_reason": chosen.dropped_reason or tuple(DroppedReason)}
    found = conditions(chosen.model_copy(update=everything), after=1)
    async with reading(dsn) as conn:
        rows = await conn.fetch(found.within(sql("dead_letters_repeated")), limit, *found.parameters)
        scripts = await conn.fetch(found.within(sql("dead_letters_duplicates")), limit, *found.parameters)
    repeated = [Repeated(*row[: len(Repeated._fields)]) for row in map(tuple, rows)]
    by_script = [Duplicates(*row[: len(Duplicates._fields)]) for row in map(tuple, scripts)]
    # If all of them were read, they are counted by their ids.
    events = len(rows) if len(rows) < limit else max(len(rows), rows[0]["hashes"])
    totals = [scripts[0][name] for name in ("scripts", "total", "replays")] if scripts else [0, 0, 0]
    return Often(repeated, events, by_script, *totals)
