"""The history of commands' runs in Postgres, and the locks that admit one run of a command at a time."""

import getpass
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, NamedTuple

from schemas.errors import RunLocked, SinkUnavailable
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.id_prefixes import MOST_NAMED, SHORTEST, only
from sinks.postgres.kept_json import kept_object
from sinks.postgres.statements import sql
from telemetry.printable import printable

OF_THE_API: Final = "token:"
"""The beginning of `started_by` of runs that were requested over the API; the name of the token follows."""
_NOTHING_INSERTED: Final = "INSERT 0 0"


class RunRecord(NamedTuple):
    """One run of a command in the history. `exit_code` is None while the run continues, and if its process was killed.

    `started_by` is the name of the starter, as the process gave it. `written_by` is the database account that wrote the
    row, None for rows from before migration 0017.
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
    """In the `with` block, record runs of commands in the history as started by `who`, not by the process's account."""
    before = _acting_as.set(who)
    try:
        yield
    finally:
        _acting_as.reset(before)


def started_by() -> str:
    """Return, as text, the account that starts runs now and this host: the one of `acting_as`, or the process's own.

    The text has only printable characters. No process's own account has a name like that of a caller of the API.
    """
    who = _acting_as.get()
    if who is None:
        try:
            # The name is from the environment, if a variable has one. Names of accounts contain no colon.
            who = getpass.getuser().replace(":", "_")
        except (OSError, KeyError):
            who = "unknown"
    return printable(f"{who}@{socket.gethostname()}")


def without_host(who: str) -> str:
    """Return the part of a run's `started_by` before the host name, for readers who must not see host names."""
    return who.rpartition("@")[0] or who


class RunLock:
    """A lock that admits one run of a command at a time, held by this process.

    The lock belongs to a database session of its own, so that it is released when the process ends.
    """

    def __init__(self, name: str, session: Connection) -> None:
        self.name = name
        self._session = session

    def check(self) -> None:
        """Raise SinkUnavailable if the session, and with it the lock, is lost."""
        if self._session.is_closed():
            raise SinkUnavailable(f"the connection that holds the lock {self.name} was lost; run the command again")


@asynccontextmanager
async def run_lock(dsn: str, name: str, label: str) -> AsyncIterator[RunLock]:
    """Hold the lock `name` for the duration of the context; raises RunLocked when another session holds it.

    `label` is the lock's name in messages.
    """
    async with connection(dsn, "lock") as session:
        if not await session.fetchval(sql("run_lock"), name):
            # Any service may take this lock, and so may any account from which the function was not revoked. The error
            # therefore names the holder.
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
    """Write the run's beginning to the history; raises RunLocked if the history has a run with this id.

    Two runs that begin within the same second may get the same id.
    """
    async with connection(dsn, "history") as conn:
        noted = await conn.execute(sql("run_begin"), run_id, script, started_by(), at)
    if noted == _NOTHING_INSERTED:
        raise RunLocked(
            f"nothing was done: the history already has a run with the id {run_id} (`bridge runs show`); run it again"
        )


async def note_end(
    dsn: str, run_id: str, script: str, times: tuple[datetime, datetime], code: int, summary: str
) -> None:
    """Write the end of a command's run to the history. `times` are its beginning and end, `summary` is JSON text."""
    async with connection(dsn, "history") as conn:
        await conn.execute(sql("run_end"), run_id, script, started_by(), *times, code, summary)


async def list_runs(dsn: str, script: str | None, limit: int) -> list[RunRecord]:
    """Return the latest runs of commands in the history, the newest first."""
    return [_record(row) for row in await fetch(dsn, "history", sql("runs_list"), script, limit)]


async def show_run(dsn: str, asked: str) -> RunRecord:
    """Return the run with this id, or else the only run whose id begins with this text.

    Raises InvalidInput if no run's id, or the ids of several runs, begin with it.
    """
    wanted = asked.strip()
    rows = await fetch(dsn, "history", sql("run_show"), wanted, MOST_NAMED + 1)
    # A caller may have chosen the id. It may then be the beginning of another id, and shorter than the shortest prefix.
    if not rows or rows[0]["run_id"] != wanted:
        begun = [row["run_id"] for row in rows] if len(wanted) >= SHORTEST else []
        only("run", asked, begun, "bridge runs list")
    return _record(rows[0])


def _record(row: Any) -> RunRecord:
    read = None if row["summary"] is None else kept_object(row["summary"])
    return RunRecord(**{**row, "summary": read})
