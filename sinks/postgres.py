"""Connections to Postgres, and SQL files by name."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from importlib.resources import files
from typing import TypeAlias

import asyncpg

from sinks import metrics
from sinks.sqlstate import TRANSLATED, translate

APPLICATION_PREFIX = "ghostlink-bridge"
CONNECT_SECONDS = 10.0

Connection: TypeAlias = asyncpg.Connection


@lru_cache
def sql(name: str) -> str:
    """The text of `sinks/sql/<name>.sql`."""
    return (files("sinks") / "sql" / f"{name}.sql").read_text()


def worker_name() -> str:
    """This process as operators see it in `stream_offset` and `pg_stat_activity`."""
    return f"{socket.gethostname()[:40]}:{os.getpid()}"


async def _pin(opened: Connection) -> Connection:
    """Gives the session settings of its own for whatever the texts that Postgres renders depend on."""
    try:
        await opened.execute(sql("session_settings"), timeout=CONNECT_SECONDS)
    except BaseException:
        opened.terminate()
        raise
    return opened


async def connect(dsn: str, role: str) -> Connection:
    """A connection that bears our application name; raises SinkUnavailable with the reason."""
    try:
        opened = await _pin(
            await asyncpg.connect(
                dsn,
                timeout=CONNECT_SECONDS,
                server_settings={
                    "application_name": f"{APPLICATION_PREFIX} {role} {worker_name()}"[:63],
                    "timezone": "UTC",
                },
            )
        )
        metrics.CONNECTIONS_OPENED.labels(role).inc()
        return opened
    except (*TRANSLATED, ValueError) as error:
        metrics.CONNECTIONS_FAILED.labels(role).inc()
        raise translate(error, "connecting to Postgres") from error


@asynccontextmanager
async def connection(dsn: str, role: str) -> AsyncIterator[Connection]:
    """A connection for a short piece of work, closed after it."""
    opened = await connect(dsn, role)
    try:
        yield opened
    except TRANSLATED as error:
        raise translate(error, role) from error
    finally:
        await close(opened)


async def close(opened: Connection) -> None:
    """Closes a connection, also one that no longer answers."""
    try:
        await opened.close(timeout=2)
    except TRANSLATED:
        opened.terminate()
