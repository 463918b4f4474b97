"""A process that is killed between two statements of its database connection."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg

from sinks.postgres.connection import connection


class Killed(Exception):
    """The process is killed between two statements."""


class Dying:
    """A connection whose process is killed after a number of statements; Postgres then rolls its transaction back."""

    def __init__(self, conn: asyncpg.Connection, statements: int) -> None:
        self._conn, self._left = conn, statements

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._conn, name)
        return self._counted(found) if name in ("execute", "fetch", "fetchrow", "fetchval") else found

    def _counted(self, call: Any) -> Any:
        async def counted(*values: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return await call(*values)

        return counted


def dying_after(statements: int) -> Callable[[str, str], AbstractAsyncContextManager[Any]]:
    """Return a replacement of `connection`, whose connections die after a number of statements."""

    @asynccontextmanager
    async def opened(dsn: str, role: str) -> AsyncIterator[Any]:
        async with connection(dsn, role) as conn:
            yield Dying(conn, statements)

    return opened
