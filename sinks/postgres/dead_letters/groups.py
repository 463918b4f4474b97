"""Dead letters by cause: how many, since when, with an example; and events that are dropped again and again."""

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
"""How many sites are named of a cause."""


class Owner(NamedTuple):
    """How many dead letters of a cause are of one site; the organisation is the registry's of now.

    `scripts` are up to three that the latest of them name.
    """

    site_id: int | None
    org_id: int | None
    dead_letters: int
    scripts: list[str]


class Guessed(NamedTuple):
    """How many of the latest dead letters of a cause have this site and these scripts in their text, unproven.

    `keyed_site_id` is the site that their record keys name, whose they are: another one than the text names, or the same.
    None is no readable site.
    """

    site_id: int
    scripts: list[str]
    dead_letters: int
    keyed_site_id: int | None = None


class Group(NamedTuple):
    """Dead letters of one cause. `hours` counts those of the last hour first, then of the hours before it.

    `first_at` and `last_at` are times of drops; `since` is when the oldest of those that were dropped first was received, which is
    longer ago where events were retried before.

    `message` is the error without numbers, ids and quoted values, `example` the latest of them. `owners` are the sites
    that have most of them, and `sites` is how many have any. Of the `looked_up` latest open ones `persisted` are known to be
    persisted by another record: their producers have sent them again; `guesses` are the sites and scripts that seem to be in the
    text of those where they can't be read.
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
    """An event that was dropped more than once, copies of it included, its replays not."""

    script_id: str | None
    site_id: int | None
    event_id: str
    drops: int
    first_at: datetime
    last_at: datetime


class Duplicates(NamedTuple):
    """How many events of a script were dropped as duplicates; each copy after the first counts."""

    script_id: str | None
    site_id: int | None
    duplicates: int


class Often(NamedTuple):
    """Events that were dropped more than once, the most frequent of them, and duplicates by script.

    `events` is how many such events there are, by the hashes of their ids; `scripts`, `duplicates` and `replays`, which are
    duplicates that a replay sent, are exact.
    """

    repeated: list[Repeated]
    events: int
    by_script: list[Duplicates]
    scripts: int
    duplicates: int
    replays: int = 0


class Groups(NamedTuple):
    """The most frequent causes, and how many causes and dead letters there are in all."""

    groups: list[Group]
    causes: int
    total: int
    often: Often


async def read_groups(dsn: str, chosen: DeadLetterFilter, *, now: datetime, hours: int, limit: int) -> Groups:
    """At most `limit` groups, repeated events and scripts, of what the filter means; raises SinkUnavailable."""
    # Each looks at every dead letter: side by side, on a connection each, they take half as long.
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
    """Whose the latest open ones of these groups are, at most `most` in all; raises SinkUnavailable.

    `share` is what that has of the event loop.
    """
    found = conditions(chosen, after=4)
    causes = [cause_key(one.cause) for one in groups]
    times = (min(one.first_at for one in groups), max(one.last_at for one in groups))
    async with reading(dsn) as conn:
        text = found.within(sql("dead_letters_latest"))
        rows: list[Any] = await conn.fetch(text, causes, *times, most, *found.parameters)
    return await share.finish(whose_of_all(rows))


async def _often(dsn: str, chosen: DeadLetterFilter, limit: int) -> Often:
    """Whatever was done with them, and duplicates too unless a reason is named: an id that comes again is one."""
    everything = {"disposition": None, "dropped_reason": chosen.dropped_reason or tuple(DroppedReason)}
    found = conditions(chosen.model_copy(update=everything), after=1)
    async with reading(dsn) as conn:
        rows = await conn.fetch(found.within(sql("dead_letters_repeated")), limit, *found.parameters)
        scripts = await conn.fetch(found.within(sql("dead_letters_duplicates")), limit, *found.parameters)
    repeated = [Repeated(*row[: len(Repeated._fields)]) for row in map(tuple, rows)]
    by_script = [Duplicates(*row[: len(Duplicates._fields)]) for row in map(tuple, scripts)]
    # Where all of them were read, they are counted by their ids.
    events = len(rows) if len(rows) < limit else max(len(rows), rows[0]["hashes"])
    totals = [scripts[0][name] for name in ("scripts", "total", "replays")] if scripts else [0, 0, 0]
    return Often(repeated, events, by_script, *totals)
