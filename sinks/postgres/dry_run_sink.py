"""Sink and publisher of a dry run: they do the same work as the real ones, and leave nothing behind."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Failure
from sinks.postgres.connection import Connection
from sinks.postgres.sink import PostgresSink


class DryRunSink(PostgresSink):
    """A sink that runs the real sink's statements in one transaction, which is rolled back when the sink is closed.

    As in a real run, later commits see what earlier commits wrote. Locks are held until the sink is closed.
    """

    _begun = False

    @asynccontextmanager
    async def _working(self, doing: str) -> AsyncIterator[Connection]:
        async with super()._working(doing) as conn:
            if not conn.is_in_transaction():
                if self._begun:
                    raise SinkUnavailable(
                        f"{doing}: the connection of the dry run was lost, and with it its transaction; run the command again"
                    )
                await conn.transaction().start()
                self._begun = True
            yield conn


class SilentPublisher:
    """A publisher that publishes nothing."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        """Mark every failed event as published without sending a copy."""
