"""The connection for reading dead letters: one snapshot, so that counts and lines agree."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sinks.postgres.connection import Connection, connection


@asynccontextmanager
async def reading(dsn: str) -> AsyncIterator[Connection]:
    """Open a connection in a read-only transaction on one snapshot; raises SinkUnavailable."""
    async with connection(dsn, "dead letters") as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        # For a query that runs once, compiling the plan takes longer than it saves.
        await conn.execute("SET LOCAL jit = off")
        yield conn
