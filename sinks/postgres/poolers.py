"""Detection of poolers that may give a connection another session after each transaction."""

import asyncio

from schemas.errors import PreconditionFailed, SinkUnavailable
from sinks.postgres.connection import LOOK_SECONDS, Connection, connection
from sinks.postgres.errors import POOLED, STATEMENT_OF_ANOTHER


async def demand_sessions(dsn: str) -> None:
    """Raise PreconditionFailed behind a pooler in transaction mode, because locks, LISTEN and SET need one session."""
    if await shares_sessions(dsn):
        raise PreconditionFailed(POOLED)


async def shares_sessions(dsn: str) -> bool:
    """Return whether a pooler shares sessions, so that two connections open at the same time get the same backend.

    Return False if this is not observed within LOOK_SECONDS, for example because the pool has no free session. Raises
    SinkUnavailable.
    """
    try:
        async with asyncio.timeout(LOOK_SECONDS), connection(dsn, "start") as one:
            first = await _backend(one)
            if first == one.get_server_pid():
                # The backend's process id is the one that the driver received, so there is no pooler.
                return False
            async with connection(dsn, "start") as other, other.transaction():
                # The open transaction occupies the other backend. A pooler assigns the session that was released last.
                return first == await _backend(other) or first != await _backend(one)
    except TimeoutError:
        return False
    except SinkUnavailable as error:
        if error.sqlstate in STATEMENT_OF_ANOTHER:
            return True
        raise


async def _backend(conn: Connection) -> int:
    if conn.is_in_transaction():
        return int(await conn.fetchval("SELECT pg_backend_pid()"))
    async with conn.transaction():
        return int(await conn.fetchval("SELECT pg_backend_pid()"))
