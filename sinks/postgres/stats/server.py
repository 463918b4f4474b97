"""How Postgres is doing, as `bridge doctor` asks it: the server, its clock, long transactions, waiting retries."""

import time
from datetime import datetime
from typing import Final, NamedTuple

from sinks.postgres.connection import connection
from sinks.postgres.statements import sql

MOST_WAITING: Final = 50_000
"""How many waiting events are looked at for their scripts, those due first; each takes about 1.5 microseconds."""


class Server(NamedTuple):
    """The server, its settings that matter here, and what is left of its connections for this account."""

    major: int
    version: str
    size: str
    in_recovery: bool
    read_only: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: bool
    encrypted: bool
    role: str
    superuser: bool
    connections_left: int
    notifications: float
    """How full the queue of notifications is, which all sessions share, from 0 to 1."""
    data_directory: str | None


class LongTransaction(NamedTuple):
    """One transaction that is open for long: whose, for how many seconds, in which state, and what to do about it."""

    who: str
    seconds: float
    state: str
    remedy: str


class Skew(NamedTuple):
    """How many seconds Postgres' clock is ahead of ours, give or take the uncertainty."""

    seconds: float
    uncertainty: float


class Retries(NamedTuple):
    """Events that wait for their next attempt, those past its time, and by how many seconds at most."""

    waiting: int
    overdue: int
    longest_overdue_seconds: float


class WaitingScript(NamedTuple):
    """How many events of one script wait because of one class of error; `attempts` is how many the furthest has made.

    All are among the `looked_at` events that are due first. The organisation is the registry's of now.
    """

    site_id: int | None
    org_id: int | None
    script_id: str | None
    error_class: str
    waiting: int
    attempts: int
    first_failed_at: datetime
    looked_at: int


async def server(dsn: str) -> Server:
    """The server's state; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        return Server(*(await conn.fetchrow(sql("server_state"))).values())


async def long_transactions(dsn: str, seconds: float) -> list[LongTransaction]:
    """Transactions open for longer, the oldest first, as far as this account may see them; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        return [LongTransaction(*row.values()) for row in await conn.fetch(sql("transactions_long"), seconds)]


async def clock_skew(dsn: str) -> Skew:
    """How far apart the clocks are, by the quickest of three questions; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        skews = []
        for _ in range(3):
            before = time.time()
            theirs = (await conn.fetchval("SELECT clock_timestamp()")).timestamp()
            after = time.time()
            skews.append(Skew(theirs - (before + after) / 2, (after - before) / 2))
    return min(skews, key=lambda one: one.uncertainty)


async def retries(dsn: str) -> Retries:
    """The waiting retries; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        return Retries(*(await conn.fetchrow(sql("retries_waiting"))).values())


async def waiting_scripts(dsn: str, most: int, site_id: int | None = None) -> list[WaitingScript]:
    """The scripts that most waiting events are of, at most so many, of one site if it is given; raises SinkUnavailable."""
    async with connection(dsn, "waiting") as conn:
        rows = await conn.fetch(sql("waiting_scripts"), most, site_id, MOST_WAITING)
    return [WaitingScript(*row.values()) for row in rows]
