"""Waits for locks in Postgres with a time limit; the error after it names the lock and the session that holds it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg
import structlog

from schemas.errors import BridgeError, PreconditionFailed
from sinks.postgres.connection import Connection, in_the_way, looking
from sinks.postgres.statements import sql

TRY_SECONDS: Final = 3.0
"""The longest wait of one try, in seconds. During the wait all later sessions queue behind it.

It is longer than one second, after which Postgres cancels a blocking autovacuum, and shorter than a worker's own wait.
"""
PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 1.0
_LONGEST_REST_SECONDS: Final = 10.0

T = TypeVar("T")
Tell = Callable[[str], None]
log = structlog.get_logger(__name__)


def log_awaited(message: str) -> None:
    """Log the message as a warning."""
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
    """Run `work` in a transaction of `conn` that waits for each lock for at most TRY_SECONDS; return its result.

    If the wait for a lock times out, the transaction is rolled back, and `work` is run again until `seconds` have
    passed. After each failed try, `tell` is called with a line that names the table and the session that has locked the
    table. `doing` names the work in these lines. After the last try, PreconditionFailed is raised with the same text.
    """
    since, rest = time.monotonic(), 1.0
    while True:
        try:
            async with waiting_briefly(dsn, conn, doing, TRY_SECONDS, since=since):
                return await work()
        except LockAwaited as error:
            if time.monotonic() - since + rest > seconds:
                raise
            tell(f"{error.waited}; trying again for up to {seconds:g} s")
        await asyncio.sleep(rest)
        rest = min(_LONGEST_REST_SECONDS, 2 * rest)


class LockAwaited(PreconditionFailed):
    """A wait for a lock has timed out. `waited` names the lock and the session that holds it."""

    def __init__(self, waited: str, seconds: float) -> None:
        super().__init__(
            f"{waited}; gave up after {seconds:.0f} s, and changed nothing: run the command again once that session has ended, "
            "or end it by SELECT pg_terminate_backend(...)"
        )
        self.waited = waited


@asynccontextmanager
async def waiting_briefly(
    dsn: str, conn: Connection, doing: str, seconds: float, *, since: float | None = None
) -> AsyncIterator[None]:
    """Open a transaction of `conn` that waits for each lock for at most `seconds`; raises LockAwaited.

    `since` is when the first try of the caller's work began, in seconds of the monotonic clock; None means now.
    """
    began = time.monotonic() if since is None else since
    over = asyncio.Event()
    watch = asyncio.create_task(_awaited(dsn, await conn.fetchval("SELECT pg_backend_pid()"), over))
    try:
        async with conn.transaction():
            await conn.execute(f"SET LOCAL lock_timeout = '{round(seconds * 1000)}ms'")
            yield
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        over.set()
        waited = f"{doing} waits for {await watch or f'a lock ({error})'}"
        raise LockAwaited(waited, time.monotonic() - began) from error
    finally:
        over.set()
        await watch


async def _awaited(dsn: str, pid: int, over: asyncio.Event) -> str:
    """Watch a Postgres backend until `over` is set; return, as text, the lock that it last waited for, or ''."""
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
    return in_the_way(seen)
