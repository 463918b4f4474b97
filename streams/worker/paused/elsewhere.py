"""The question whose events pass in any process, which the lanes of one process ask Postgres together."""

import asyncio
from math import inf
from typing import Final

import structlog

from schemas.pipeline.breaker import Passing
from sinks.ports import Sink

KEPT_SECONDS: Final = 5.0
"""How long an answer is used, and how long a lane waits while another one asks."""
UNKNOWN_SECONDS: Final = 60.0
"""How long the question is not asked again after an answer took too long. Each lane that asks waits."""

log = structlog.get_logger(__name__)


class Elsewhere:
    """The last answer. One lane at a time asks; the others wait for its answer."""

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._answer: Passing | None = None
        self._until = -inf

    async def ask(self, sink: Sink, window_seconds: float, quiet_seconds: float) -> Passing | None:
        """Return whose events pass; None if Postgres has not said so in time."""
        try:
            async with asyncio.timeout(KEPT_SECONDS):
                await self._asking.acquire()
        except TimeoutError:
            # In an outage of Postgres the asking lane waits longer. Its sink reports that, and those of the others too.
            return None
        try:
            now = asyncio.get_running_loop().time()
            if now >= self._until:
                self._answer = await sink.passing(window_seconds, quiet_seconds)
                self._until = now + (UNKNOWN_SECONDS if self._answer is None else KEPT_SECONDS)
                if self._answer is None:
                    log.warning("breaker_undecided", reason="Postgres took too long to say whose events pass")
            return self._answer
        finally:
            self._asking.release()
