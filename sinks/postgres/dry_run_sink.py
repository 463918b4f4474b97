"""Sink and publisher of a dry run, which execute everything and leave nothing."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Failure
from sinks.postgres.connection import Connection
from sinks.postgres.sink import PostgresSink


class DryRunSink(PostgresSink):
    """Commits like the real sink, with the same statements, in one transaction that is rolled back with the connection.

    Later commits see what earlier ones wrote, as in a real run. Locks are held until it is closed.
    """

    _begun = False

    @asynccontextmanager
    async def _working(self, doing: str) -> AsyncIterator[Connection]:
        async with super()._working(doing) as conn:
            if not conn.is_in_transaction():
                if self._begun:
                    raise SinkUnavailable(f"{doing}: the dry run's transaction was lost; run it again")
                await conn.transaction().start()
                self._begun = True
            yield conn


class SilentPublisher:
    """Publishes nothing."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        """Accept every copy as published."""
