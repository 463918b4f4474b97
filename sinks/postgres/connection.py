"""Connections to Postgres, and checks whether the primary still has their sessions."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import asyncpg

from schemas.config.addresses import Place, database_options, database_places
from schemas.errors import BridgeError, RowRejected, SinkUnavailable
from sinks.postgres import server_proof
from sinks.postgres.certificates import unreadable_file
from sinks.postgres.errors import DATA_EXCEPTION, LOCK_NOT_AVAILABLE, TRANSLATED, translate
from sinks.postgres.failover import connect_to_one
from sinks.postgres.statements import sql
from telemetry import metrics

APPLICATION_PREFIX = "ghostlink-bridge"
CONNECT_SECONDS = 10.0
WATCH_SECONDS = 10.0
"""How often a connection's session is checked while the connection is in use, in seconds."""
LOCK_SECONDS = 15.0
"""The default lock time-out of a session, in seconds.

It is longer than WATCH_SECONDS, so that a check sees the holder of the lock before the wait times out.
"""
GONE = "its session has ended: the current primary does not list the session"
LOOK_SECONDS = 3.0
"""The time limit of one check, in seconds. A check without an answer proves nothing about the session."""
# The kernel ends a connection whose peer acknowledges nothing for about this long. A peer that is only slow still
# acknowledges.
_IDLE_SECONDS = 10
_INTERVAL_SECONDS = 3
_PROBES = 3
_UNACKNOWLEDGED_MS = 20_000
_LITTLE_BYTES = 16_384

Connection: TypeAlias = asyncpg.Connection


class _KeptAlive(asyncpg.Connection):  # type: ignore[misc]  # asyncpg's class is untyped
    """A connection whose socket uses TCP keepalive, by which the kernel detects a lost peer."""

    def __init__(self, protocol: Any, transport: asyncio.Transport, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self.socket = transport.get_extra_info("socket")
        keep_alive(self.socket)


def worker_name() -> str:
    """Return the name by which `stream_offset` and `pg_stat_activity` show this process."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


async def _pin(opened: Connection) -> Connection:
    """Set the lock time-out, and the session settings that change how Postgres renders values as text."""
    bound = f";\nSET lock_timeout TO '{round(LOCK_SECONDS * 1000)}ms'"
    try:
        await opened.execute(sql("session_settings") + bound, timeout=CONNECT_SECONDS)
    except BaseException:
        opened.terminate()
        raise
    return opened


def keep_alive(sock: socket.socket) -> None:
    """Make the kernel end a TCP connection whose peer acknowledges nothing, even if nothing is sent."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_SECONDS),
        ("TCP_KEEPINTVL", _INTERVAL_SECONDS),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MS),
    ):
        # Some systems lack some of these options.
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def receive_little(opened: Connection) -> None:
    """Limit the kernel's receive buffer of a connection, and with it the bytes that one iteration of the loop parses.

    Use this for a connection with LISTEN, because any account can send an unlimited number of notifications.
    """
    opened.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LITTLE_BYTES)


async def connect(dsn: str, role: str, *, seconds: float = CONNECT_SECONDS) -> Connection:
    """Open a connection within `seconds`; raises SinkUnavailable with the reason.

    `role` is what the connection is for, such as `lane`; it is part of the session's application name. If the URL has
    several hosts, the first host that answers and accepts writes is used.
    """
    try:
        opened = await _pin(await _open(dsn, f"{APPLICATION_PREFIX} {role} {worker_name()}"[:63], seconds))
    except (*TRANSLATED, ValueError) as error:
        metrics.CONNECTIONS_FAILED.labels(role).inc()
        if isinstance(error, OSError) and (problem := unreadable_file(dsn)) is not None:
            raise SinkUnavailable(f"{_connecting(dsn)}: {problem}", sqlstate=DATA_EXCEPTION) from error
        translated = translate(error, _connecting(dsn))
        # No event is involved yet, so that RowRejected is impossible: an error here is due to the settings, such as a
        # missing certificate file.
        if isinstance(translated, RowRejected):
            raise SinkUnavailable(str(translated), sqlstate=translated.sqlstate) from error
        raise translated from error
    metrics.CONNECTIONS_OPENED.labels(role).inc()
    return opened


def _connecting(dsn: str) -> str:
    """Return `connecting to Postgres at` with the URL's hosts and ports, and nothing else of the URL."""
    try:
        places = database_places(dsn)
    except ValueError:
        places = ()
    return "connecting to Postgres" + (f" at {', '.join(map(str, places))}" if places else "")


async def _open(dsn: str, name: str, seconds: float) -> Connection:
    options: dict[str, Any] = {
        "connection_class": _KeptAlive,
        "server_settings": {"application_name": name, "timezone": "UTC"},
    }
    count = len(database_places(dsn))
    if count < 2:
        return await server_proof.connect(dsn, timeout=seconds, **options)
    if "target_session_attrs" not in database_options(dsn):
        options["target_session_attrs"] = "read-write"

    async def dial(place: Place) -> Connection:
        return await server_proof.connect(dsn, host=place.host, port=place.port, timeout=seconds / count, **options)

    return await connect_to_one(dsn, dial)


@asynccontextmanager
async def connection(dsn: str, role: str) -> AsyncIterator[Connection]:
    """Open a connection for a short task, and close it afterwards.

    The client closes the connection when the primary no longer has its session. A statement waits for a lock for at most
    LOCK_SECONDS; SinkUnavailable then names the lock and the session that holds the lock.
    """
    opened = await connect(dsn, role)
    awaited: list[Any] = []
    watch = asyncio.create_task(_cut_when_gone(dsn, opened, awaited))
    try:
        yield opened
    except TRANSLATED as error:
        if watch.done():
            raise SinkUnavailable(f"{role}: {GONE}") from error
        translated = translate(error, role)
        if getattr(translated, "sqlstate", None) == LOCK_NOT_AVAILABLE and awaited:
            text = (
                f"{role} waits for {in_the_way(awaited)}; gave up after {LOCK_SECONDS:g} s: run the command again once that session has "
                "ended, or end it by SELECT pg_terminate_backend(...)"
            )
            raise SinkUnavailable(text, sqlstate=LOCK_NOT_AVAILABLE) from error
        raise translated from error
    except OverflowError as error:
        text = (
            f"{role}: a row from before migration 0023 has a time that no client reads, {error}: see docs/production.md"
        )
        raise SinkUnavailable(text, sqlstate=DATA_EXCEPTION) from error
    finally:
        watch.cancel()
        await close(opened)


async def fetch(dsn: str, role: str, statement: str, *values: Any) -> list[Any]:
    """Return the rows of one statement, for which a connection is opened as by `connection`."""
    async with connection(dsn, role) as conn:
        rows: list[Any] = await conn.fetch(statement, *values)
        return rows


@asynccontextmanager
async def looking(dsn: str) -> AsyncIterator[Connection]:
    """Open a connection for at most LOOK_SECONDS, to check another connection's session; raises SinkUnavailable."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            opened = await connect(dsn, "watch", seconds=LOOK_SECONDS)
            try:
                yield opened
            finally:
                await close(opened)
    except TRANSLATED as error:
        raise translate(error, "checking a session") from error


async def is_gone(looker: Connection, watched: Connection, pid: int | None = None) -> bool:
    """Return whether the session of connection `watched` is missing on the primary that `looker` is connected to.

    If it is missing, calls on `watched` wait in vain. `pid` is the process id of the session's backend, if the caller
    has queried it; otherwise the process id that the driver knows is used. Behind a pooler the driver knows only the
    pooler's id, and the answer is False.
    """
    name = watched.get_settings().application_name
    own, has = await looker.fetchrow(sql("session_look"), pid or watched.get_server_pid(), name)
    return not has and (pid is not None or own == looker.get_server_pid())


def in_the_way(rows: Sequence[Any]) -> str:
    """Return the lock in the rows of the query `lock_awaited`, and who holds the lock, as text; empty without rows."""
    return f"{rows[0]['awaited']}: {', '.join(map(_holder, rows))} blocks it" if rows else ""


def _holder(row: Any) -> str:
    if not row["pid"]:
        return "a prepared transaction (see pg_prepared_xacts)"
    age = "" if row["seconds"] is None else f", in a transaction for {row['seconds']:.0f} s"
    state = "" if row["state"] is None else f", {row['state']}"
    return f"session {row['pid']} ({row['role'] or '?'}, {row['application'] or 'no application name'}{state}{age})"


async def _cut_when_gone(dsn: str, watched: Connection, awaited: list[Any]) -> None:
    """Check a connection's session until the primary lacks it, then close the connection, so that waiting calls fail.

    Each check writes to `awaited` the lock that the session waits for at that time.
    """
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        gone = False
        with suppress(BridgeError):
            async with looking(dsn) as looker:
                gone = await is_gone(looker, watched)
                awaited[:] = await looker.fetch(sql("lock_awaited"), watched.get_server_pid())
        if gone:
            watched.terminate()
            return


async def close(opened: Connection) -> None:
    """Close a connection to Postgres; if the server does not answer, drop the connection after two seconds."""
    try:
        await opened.close(timeout=2)
    except TRANSLATED:
        opened.terminate()
