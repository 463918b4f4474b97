"""Runs of commands in Postgres: the lock that admits one at a time, and the history with account, time and result."""

import getpass
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, NamedTuple

from schemas.errors import RunLocked, SinkUnavailable
from sinks.postgres.connection import Connection, connection
from sinks.postgres.id_prefixes import MOST_NAMED, SHORTEST, only
from sinks.postgres.kept_json import kept_object
from sinks.postgres.statements import sql
from telemetry.printable import printable

_NOTHING_INSERTED: Final = "INSERT 0 0"


class RunRecord(NamedTuple):
    """One line of the history; `exit_code` is None while it runs, or if it was killed.

    `started_by` is the name that the account gave, `written_by` is the account, None before 0017.
    """

    run_id: str
    script: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None
    summary: dict[str, Any] | None
    written_by: str | None = None


_acting_as: ContextVar[str | None] = ContextVar("acting_as", default=None)


@contextmanager
def acting_as(who: str) -> Iterator[None]:
    """Record runs begun within this context in the history as those of `who`, not of the process's account."""
    before = _acting_as.set(who)
    try:
        yield
    finally:
        _acting_as.reset(before)


def started_by() -> str:
    """Return who runs this: the account, or the one it acts for, and the host; printable in every output."""
    who = _acting_as.get()
    if who is None:
        try:
            who = getpass.getuser()
        except (OSError, KeyError):
            who = "unknown"
    return printable(f"{who}@{socket.gethostname()}")


def without_host(who: str) -> str:
    """Return the account or token of `started_by`, for readers who must not see host names."""
    return who.rpartition("@")[0] or who


class RunLock:
    """The lock while it is held: by its own session, so that it ends with the process."""

    def __init__(self, name: str, session: Connection) -> None:
        self.name = name
        self._session = session

    def check(self) -> None:
        """Raise SinkUnavailable once the session, and with it the lock, is lost."""
        if self._session.is_closed():
            raise SinkUnavailable(f"the connection that holds {self.name} was lost; run it again")


@asynccontextmanager
async def run_lock(dsn: str, name: str, label: str) -> AsyncIterator[RunLock]:
    """Hold the lock `name`; raises RunLocked when another session holds it. `label` is its name in messages."""
    async with connection(dsn, "lock") as session:
        if not await session.fetchval(sql("run_lock"), name):
            # Any service may take such a lock, as may other accounts unless it was revoked, so the error names the
            # holder.
            row = await session.fetchrow(sql("run_lock_held"), name)
            who = (
                f" (session {row['pid']}, role {row['role'] or '?'}, {row['application'] or 'no name'})" if row else ""
            )
            raise RunLocked(f"another run holds {label}{who}; wait for it, or see `bridge runs list`")
        yield RunLock(label, session)


async def is_locked(conn: Connection, name: str) -> bool:
    """Return whether a run holds the lock `name` now."""
    return await conn.fetchrow(sql("run_lock_held"), name) is not None


async def note_begin(dsn: str, run_id: str, script: str, at: datetime) -> None:
    """Write the run to the history; raises RunLocked if it has that id: a second has few different ids."""
    async with connection(dsn, "history") as conn:
        noted = await conn.execute(sql("run_begin"), run_id, script, started_by(), at)
    if noted == _NOTHING_INSERTED:
        raise RunLocked(f"nothing was done: the history has a run {run_id} already (`bridge runs show`); run it again")


async def note_end(
    dsn: str, run_id: str, script: str, times: tuple[datetime, datetime], code: int, summary: str
) -> None:
    """Write the run's end: exit code and summary, JSON text."""
    async with connection(dsn, "history") as conn:
        await conn.execute(sql("run_end"), run_id, script, started_by(), *times, code, summary)


async def list_runs(dsn: str, script: str | None, limit: int) -> list[RunRecord]:
    """Return the newest runs first."""
    async with connection(dsn, "history") as conn:
        return [_record(row) for row in await conn.fetch(sql("runs_list"), script, limit)]


async def show_run(dsn: str, asked: str) -> RunRecord:
    """Return the run with this id or else this prefix; raises InvalidInput unless there is exactly one."""
    wanted = asked.strip()
    async with connection(dsn, "history") as conn:
        rows = await conn.fetch(sql("run_show"), wanted, MOST_NAMED + 1)
    # A caller's own id may be another's prefix, and shorter than the shortest prefix.
    if not rows or rows[0]["run_id"] != wanted:
        begun = [row["run_id"] for row in rows] if len(wanted) >= SHORTEST else []
        only("run", asked, begun, "bridge runs list")
    return _record(rows[0])


def _record(row: Any) -> RunRecord:
    read = None if row["summary"] is None else kept_object(row["summary"])
    return RunRecord(**{**row, "summary": read})
