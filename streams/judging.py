"""The processing of batches by the same rules in workers and in jobs (commands that end)."""

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field

import structlog

from schemas.instants import now_ms
from schemas.native_module import LeftToPython
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch
from schemas.pipeline.registry import Registry
from sinks.cooperative import TURN_SECONDS, Share
from streams.pipeline.native import Readers
from streams.pipeline.normalize import Bounds
from streams.pipeline.processor import (
    CLAMP_FUTURE_MS,
    CLAMP_PAST_MS,
    GATEWAY_TRUST_MS,
    Context,
    LedgerStates,
    processing,
)
from streams.pipeline.trust import GatewayTrust
from streams.rules.retry_policy import RetryPolicy

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Judging:
    """What the processing of all batches of one process has in common.

    `native` says whether the native module reads ordinary events, if it is installed. `now_ms` (since the epoch) and
    `monotonic` (in seconds) are the clocks. Batches that are processed at the same time share the event loop by
    partition.
    """

    registry: Callable[[], Registry]
    trust: Callable[[], GatewayTrust]
    policy: RetryPolicy
    bounds: Bounds
    raw_topic: str
    native: bool = field(default=True, kw_only=True)
    now_ms: Callable[[], int] = field(default=now_ms, kw_only=True)
    monotonic: Callable[[], float] = field(default=time.monotonic, kw_only=True)
    _readers: Readers = field(init=False, repr=False)
    _share: Share = field(init=False, repr=False)

    def __post_init__(self) -> None:
        readers = Readers(self.bounds, (CLAMP_PAST_MS, CLAMP_FUTURE_MS), GATEWAY_TRUST_MS, wanted=self.native)
        object.__setattr__(self, "_readers", readers)
        object.__setattr__(self, "_share", Share(self.monotonic, rest=0.0))

    async def judge(self, batches: Sequence[Batch], known: Container[bytes], ledger: LedgerStates) -> list[Outcomes]:
        """Return the outcomes of the batches of one commit.

        Other tasks run meanwhile. In one iteration of the event loop, the batches of all callers together use about
        one turn, or the time of one event that takes longer. The next turn goes to the partition that has used the
        least time.

        `known` are the event keys that Postgres certainly has, and `ledger` the states of failed events.
        """
        registry, trust = self.registry(), self.trust()
        context = Context(
            self.now_ms(), registry, known, ledger, self.bounds, self.policy, self.raw_topic, trust,
            native=self._readers.current(registry, trust.keys),
        )  # fmt: skip
        outcomes = [Outcomes(batch) for batch in batches]
        for one in outcomes:
            # With a turn of every other lane in each iteration, a commit's some 15 awaits would take seconds.
            await self._share.of(one.batch.source).finish(processing(one, context, self.monotonic, TURN_SECONDS))
            if panics := one.read[LeftToPython.PANIC]:
                log.error("native_module_panicked", records=panics, source=str(one.batch.source), offset=one.batch.prev)
        return outcomes
