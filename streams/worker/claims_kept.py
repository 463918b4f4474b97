"""Keeping the claims of replays as they are, once they have changed between the reading of a batch and its settlement."""

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
    """Whether a lane's last settlement was refused; then the next one lets nobody change a claim meanwhile.

    Without it, whoever may claim and release dead letters could do so between any two looks, and no batch that replays one
    would ever be settled. It costs the others a wait, so it is for a batch that was refused.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.refused = False

    @asynccontextmanager
    async def around(self, batches: Sequence[Batch], patiently: Patiently) -> AsyncIterator[None]:
        """Surrounds the look-up, the judging and the settlement of these batches."""
        keeps = self.refused and bool(replays_claimed(batches))
        if keeps:
            await patiently(self._sink.keep_claims)
        yield
        if keeps:
            await patiently(self._sink.release_claims)

    def are_kept_away(self, error: SinkUnavailable, outcomes: Sequence[Outcomes]) -> bool:
        """Whether other sessions keep what these batches claim: the batch is to be read again with its claims kept."""
        return error.sqlstate in KEPT and not self.refused and bool(replays_claimed([one.batch for one in outcomes]))
