"""The processing of batches by the same rules in workers and in jobs (commands that end)."""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

from schemas.instants import now_ms
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch
from schemas.pipeline.registry import Registry
from sinks.cooperative import TURN_SECONDS, in_turns
from streams.pipeline.normalize import Bounds
from streams.pipeline.processor import Context, LedgerStates, processing
from streams.pipeline.trust import GatewayTrust
from streams.rules.retry_policy import RetryPolicy


@dataclass(frozen=True, slots=True)
class Judging:
    """What the processing of all batches of one process has in common.

    `now_ms` (since the epoch) and `monotonic` (in seconds) are the clocks.
    """

    registry: Callable[[], Registry]
    trust: Callable[[], GatewayTrust]
    policy: RetryPolicy
    bounds: Bounds
    raw_topic: str
    now_ms: Callable[[], int] = field(default=now_ms, kw_only=True)
    monotonic: Callable[[], float] = field(default=time.monotonic, kw_only=True)

    async def judge(self, batches: Sequence[Batch], known: Container[bytes], ledger: LedgerStates) -> list[Outcomes]:
        """Return the outcomes of the batches of one commit. Other tasks run meanwhile.

        `known` are the event keys that Postgres certainly has, and `ledger` the states of failed events.
        """
        context = Context(
            self.now_ms(), self.registry(), known, ledger, self.bounds, self.policy, self.raw_topic, self.trust()
        )
        outcomes = [Outcomes(batch) for batch in batches]
        for one in outcomes:
            await in_turns(processing(one, context, self.monotonic, TURN_SECONDS))
        return outcomes
