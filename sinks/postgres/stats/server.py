"""The state of Postgres for `bridge doctor`: the server, its clock, long transactions, and waiting retries."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sinks.postgres.connection import connection, fetch
from sinks.postgres.statements import sql

MOST_WAITING: Final = 50_000
"""The most waiting events that are read for their scripts, those due first.

Reading one takes about 1.5 microseconds.
"""


class Server(NamedTuple):
    """The server, its relevant settings, and how many more connections this account may open."""

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
    """The used share of the notification queue, from 0 to 1. All sessions share this queue."""
    data_directory: str | None


class LongTransaction(NamedTuple):
    """A long transaction: its session, its age in seconds, its state, and what to do about it."""

    who: str
    seconds: float
    state: str
    remedy: str


class Skew(NamedTuple):
    """By how many seconds Postgres' clock is ahead of this machine's, and the uncertainty of this number."""

    seconds: float
    uncertainty: float


class Retries(NamedTuple):
    """The numbers of events that wait for a retry and that are overdue, and the longest time overdue in seconds."""

    waiting: int
    overdue: int
    longest_overdue_seconds: float


class WaitingScript(NamedTuple):
    """The number of one script's events that wait because of one error class.

    A script is a registered source of a site's events. `attempts` is the largest number of failed attempts of one of
    these events. Only the `looked_at` events with the earliest due times are counted. The organisation is the one to
    which the script's site belongs now.
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
    """Return the state of the Postgres server; raises SinkUnavailable."""
    (row,) = await fetch(dsn, "doctor", sql("server_state"))
    return Server(*row.values())


async def long_transactions(dsn: str, seconds: float) -> list[LongTransaction]:
    """Return the transactions that have been open for more than `seconds`, the oldest first; raises SinkUnavailable.

    Transactions that this database account may not see are left out.
    """
    return [LongTransaction(*row.values()) for row in await fetch(dsn, "doctor", sql("transactions_long"), seconds)]


async def clock_skew(dsn: str) -> Skew:
    """Return the difference between the clocks of Postgres and of this machine, from the fastest of three queries.

    Raises SinkUnavailable."""
    async with connection(dsn, "doctor") as conn:
        skews = []
        for _ in range(3):
            before = time.time()
            theirs = (await conn.fetchval("SELECT clock_timestamp()")).timestamp()
            after = time.time()
            skews.append(Skew(theirs - (before + after) / 2, (after - before) / 2))
    return min(skews, key=lambda one: one.uncertainty)


async def retries(dsn: str) -> Retries:
    """Return how many events wait for a retry, and how many are overdue; raises SinkUnavailable."""
    (row,) = await fetch(dsn, "doctor", sql("retries_waiting"))
    return Retries(*row.values())


async def waiting_scripts(dsn: str, most: int, site_id: int | None = None) -> list[WaitingScript]:
    """Return the `most` scripts with most events waiting for a retry, of one site or all; raises SinkUnavailable."""
    rows = await fetch(dsn, "waiting", sql("waiting_scripts"), most, site_id, MOST_WAITING)
    return [WaitingScript(*row.values()) for row in rows]


async def table_sizes(dsn: str, names: Sequence[str]) -> dict[str, int]:
    """Return the sizes in bytes of those of these tables that exist, with their indexes; raises SinkUnavailable."""
    return {row["name"]: row["bytes"] for row in await fetch(dsn, "doctor", sql("tables_growing"), list(names))}
