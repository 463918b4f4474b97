"""A lock on claims in Postgres while a worker's task (a lane) processes and commits a batch with replays.

A claim reserves a dead letter for one replay. The lock is used after a claim has changed between the reading of a batch
and its commit.
"""

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
    """Decides whether the next batch of a lane (a task that commits batches) locks the replays' claims on dead letters.

    It does so if the lane's last commit was refused. Without the lock, an account that may claim and release dead
    letters could change a claim between the look-up and every commit. The batch with the replay would then never be
    committed. Other sessions wait while a lane has the lock, so only the try after a refused commit locks the claims.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.refused = False

    @asynccontextmanager
    async def around(self, batches: Sequence[Batch], patiently: Patiently) -> AsyncIterator[None]:
        """Keep the dead letters that these batches replay from being changed until the batches are committed.

        The database locks them only after it has refused a commit because one of them had changed. `patiently` is called with an operation of the sink. It must repeat the operation while Postgres is away.
        """
        keeps = self.refused and bool(replays_claimed(batches))
        if keeps:
            await patiently(self._sink.keep_claims)
        yield
        if keeps:
            await patiently(self._sink.release_claims)

    def are_kept_away(self, error: SinkUnavailable, outcomes: Sequence[Outcomes]) -> bool:
        """Return whether a commit failed because another session has locked the claims of the batch's replays.

        The lane (the task that commits the batch) should then lock the claims itself.
        """
        return error.sqlstate in KEPT and not self.refused and bool(replays_claimed([one.batch for one in outcomes]))
