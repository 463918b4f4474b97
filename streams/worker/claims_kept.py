"""Locking of replay claims that changed between the reading of a batch and its commit."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch
from sinks.ports import Sink
from sinks.postgres.errors import KEPT
from streams.pipeline.processor import replays_claimed

Patiently = Callable[[Callable[[], Awaitable[bool]]], Awaitable[Any]]


class ClaimsKept:
    """Whether a lane's last commit was refused; the next one then locks its claims against changes.

    Without the lock, an account that may claim and release dead letters could do so between any two look-ups, and a
    batch that replays one would never be committed. The lock makes other sessions wait, so only a refused batch takes
    it.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.refused = False

    @asynccontextmanager
    async def around(self, batches: Sequence[Batch], patiently: Patiently) -> AsyncIterator[None]:
        """Surround the look-up, processing and commit of these batches."""
        keeps = self.refused and bool(replays_claimed(batches))
        if keeps:
            await patiently(self._sink.keep_claims)
        yield
        if keeps:
            await patiently(self._sink.release_claims)

    def are_kept_away(self, error: SinkUnavailable, outcomes: Sequence[Outcomes]) -> bool:
        """Return whether other sessions lock the batch's claims: it is then read again with its claims locked."""
        return error.sqlstate in KEPT and not self.refused and bool(replays_claimed([one.batch for one in outcomes]))
