"""State of Postgres for `bridge doctor`: the server, its clock, long transactions, waiting retries."""

import time
from datetime import datetime
from typing import Final, NamedTuple

from sinks.postgres.connection import connection
from sinks.postgres.statements import sql

MOST_WAITING: Final = 50_000
"""The most waiting events that are read for their scripts, those due first; each takes about 1.5 microseconds."""


class Server(NamedTuple):
    """The server, its relevant settings, and the connections left for this account."""

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
    """The share of the notification queue in use, from 0 to 1; all sessions share the queue."""
    data_directory: str | None


class LongTransaction(NamedTuple):
    """One long transaction: its session, its age in seconds, its state, and what to do about it."""

    who: str
    seconds: float
    state: str
    remedy: str


class Skew(NamedTuple):
    """How many seconds Postgres' clock is ahead of this machine's, plus or minus the uncertainty."""

    seconds: float
    uncertainty: float


class Retries(NamedTuple):
    """Events that wait for their next attempt, those past its time, and by how many seconds at most."""

    waiting: int
    overdue: int
    longest_overdue_seconds: float


class WaitingScript(NamedTuple):
    """The number of one script's events that wait because of one error class; `attempts` is the most that one has made.

    All are among the `looked_at` events that are due first. The organisation is the registry's current one.
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
    """Return the server's state; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        return Server(*(await conn.fetchrow(sql("server_state"))).values())


async def long_transactions(dsn: str, seconds: float) -> list[LongTransaction]:
    """Return longer transactions, the oldest first, as far as this account may see them; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        return [LongTransaction(*row.values()) for row in await conn.fetch(sql("transactions_long"), seconds)]


async def clock_skew(dsn: str) -> Skew:
    """Return the difference of the clocks, from the fastest of three queries; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        skews = []
        for _ in range(3):
            before = time.time()
            theirs = (await conn.fetchval("SELECT clock_timestamp()")).timestamp()
            after = time.time()
            skews.append(Skew(theirs - (before + after) / 2, (after - before) / 2))
    return min(skews, key=lambda one: one.uncertainty)


async def retries(dsn: str) -> Retries:
    """Return the waiting retries; raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        return Retries(*(await conn.fetchrow(sql("retries_waiting"))).values())


async def waiting_scripts(dsn: str, most: int, site_id: int | None = None) -> list[WaitingScript]:
    """Return at most `most` scripts with the most waiting events, of one site if given; raises SinkUnavailable."""
    async with connection(dsn, "waiting") as conn:
        rows = await conn.fetch(sql("waiting_scripts"), most, site_id, MOST_WAITING)
    return [WaitingScript(*row.values()) for row in rows]
