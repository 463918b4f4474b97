"""Work that locks whole tables: it waits for them briefly, lets those pass that queue behind it, and tries again."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from schemas.errors import BridgeError, EnvironmentUnfit
from sinks.postgres import Connection, looking, sql

TRY_SECONDS: Final = 3.0
"""How long one try waits for a lock, and everybody else behind it: longer than Postgres' second after which an autovacuum
gives way, and shorter than a worker's own wait."""
PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 1.0
_LONGEST_REST_SECONDS: Final = 10.0

T = TypeVar("T")
Tell = Callable[[str], None]
log = structlog.get_logger(__name__)


def log_awaited(message: str) -> None:
    """Logs the line as a warning."""
    log.warning("lock_awaited", detail=message)


async def locking(
    dsn: str,
    conn: Connection,
    doing: str,
    work: Callable[[], Awaitable[T]],
    *,
    seconds: float = PATIENCE_SECONDS,
    tell: Tell = log_awaited,
) -> T:
    """What `work` returns, done in a transaction of `conn` that waits for no lock for longer than TRY_SECONDS.

    A try that gets a lock too late is rolled back, and another one is made until `seconds` have passed. `tell` gets a
    line in between that names the table and the session that has it. Raises EnvironmentUnfit with the same after the last try.
    """
    since, rest = time.monotonic(), 1.0
    while True:
        over = asyncio.Event()
        watch = asyncio.create_task(_awaited(dsn, await conn.fetchval("SELECT pg_backend_pid()"), over))
        try:
            async with conn.transaction():
                await conn.execute(f"SET LOCAL lock_timeout = '{round(TRY_SECONDS * 1000)}ms'")
                return await work()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            over.set()
            waited = f"{doing} waits for {await watch or f'a lock ({error})'}"
            if time.monotonic() - since + rest > seconds:
                raise EnvironmentUnfit(
                    f"{waited}; gave up after {time.monotonic() - since:.0f} s, and nothing of it is done: run it again once "
                    "that session has ended, or end it by SELECT pg_terminate_backend(...)"
                ) from error
        finally:
            over.set()
            await watch
        tell(f"{waited}; tried again for up to {seconds:g} s")
        await asyncio.sleep(rest)
        rest = min(_LONGEST_REST_SECONDS, 2 * rest)


async def _awaited(dsn: str, pid: int, over: asyncio.Event) -> str:
    """What the backend was last seen to wait for, in words; empty if it never was. Ends when it is `over`."""
    seen: list[Any] = []
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), _LOOK_SECONDS)
            break
        try:
            async with looking(dsn) as conn:
                seen = await conn.fetch(sql("lock_awaited"), pid) or seen
        except BridgeError as error:
            log.warning("session_check_failed", error=str(error))
    return f"{seen[0]['awaited']}: {', '.join(map(_holder, seen))} in its way" if seen else ""


def _holder(row: Any) -> str:
    if not row["pid"]:
        return "a prepared transaction (see pg_prepared_xacts) is"
    age = "" if row["seconds"] is None else f", in a transaction for {row['seconds']:.0f} s"
    state = "" if row["state"] is None else f", {row['state']}"
    return f"session {row['pid']} ({row['role'] or '?'}, {row['application'] or 'no application name'}{state}{age})"
