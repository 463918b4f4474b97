"""The ports of a commit: what every sink and publisher must do."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.pipeline.breaker import BreakerCause, BreakerState
from schemas.pipeline.ledger import LedgerState, Scope, Waiting
from schemas.pipeline.log_identity import KnownLog
from schemas.pipeline.outcome import Candidate, Failure, Outcomes, Tally
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.senders import Senders
from sinks.windows import Windows


class CommitResult(NamedTuple):
    """The result of one commit: counts, failures, the keys that are now certainly persisted, windows, and the number
    of events of each sender class that became rows."""

    tally: Tally
    failures: list[Failure]
    keys: list[bytes]
    windows: Windows
    senders: Senders


class Rejected(NamedTuple):
    """A candidate that the store refuses because of its content, and the reason."""

    candidate: Candidate
    error: str


class Sink(Protocol):
    """The store of offsets, ledger, keys, events and windows. One per lane; not shared between tasks.

    Every method raises SinkUnavailable when the store, not an event, is at fault.
    """

    silent: bool
    """Whether a method is waiting for a store that does not answer."""

    async def logs(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, KnownLog]:
        """Return the current log of each of Kafka's partitions, over all groups; one that was never read is missing."""
        ...

    async def claim(
        self, beginnings: Mapping[TopicPartition, int], cluster: str | None = None
    ) -> dict[TopicPartition, int]:
        """Create missing offset rows at the log's beginning, record the worker, and return the stored offsets.

        A log without a known cluster gets this `cluster`.
        """
        ...

    async def hold(self, source: TopicPartition, why: str) -> None:
        """Record for operators why this worker does not read the partition, until it is claimed or committed again."""
        ...

    async def lose(self, source: TopicPartition, beginning: int) -> int:
        """Record the records between the stored offset and the log's beginning as lost; return their number."""
        ...

    async def stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the stored offsets, without a lock; a partition without a row is missing from the answer."""
        ...

    async def ledger(self, provenances: Sequence[Provenance], *, bodies: bool = False) -> dict[Provenance, LedgerState]:
        """Return the ledger's rows of these raw events, without a lock; `bodies` adds those of waiting events.

        Small records may name very many rows, so bodies are read only for records that carry these bodies themselves.
        """
        ...

    async def due(self, now_ms: int, scope: Scope, limit: int) -> list[Waiting]:
        """Return at most `limit` waiting raw events with a due attempt, the longest due first, without a lock."""
        ...

    async def keep_claims(self) -> bool:
        """Lock dead letters against claims, releases and discards until `release_claims`, or a lost connection."""
        ...

    async def release_claims(self) -> bool:
        """Release the lock of `keep_claims`."""
        ...

    async def commit(self, outcomes: Sequence[Outcomes]) -> CommitResult:
        """Write everything in one transaction.

        Raises BatchRefused when a stored offset or a ledger row is not the one that the outcomes were computed from,
        and RowRejected when a row is refused. In either case nothing is written.
        """
        ...

    async def rejected(self, outcomes: Sequence[Outcomes]) -> list[Rejected]:
        """Return the candidates that are refused, found by bisection in a transaction that is always rolled back."""
        ...

    async def brake(self) -> BreakerState:
        """Return the circuit breaker's state, without a lock."""
        ...

    async def engage(self, cause: BreakerCause) -> BreakerState:
        """Trip the breaker, unless it is open or an operator has released it; return the resulting state."""
        ...

    async def probed(self, *, passed: bool) -> bool:
        """Record a probe, and reset the breaker if it passed; return whether the breaker was reset.

        A breaker that an operator tripped stays open.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...

    def abandon(self) -> None:
        """Drop the connection immediately; every call that waits for it fails."""
        ...


class Publisher(Protocol):
    """Publishes retry records and dead letters."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        """Publish the copy of each failure that has an unpublished one, and mark it as published.

        If Kafka refuses a copy for its content, more and more parts are omitted; if it accepts none, `refused` has the
        reason. Returns when every other copy is acknowledged; raises SinkUnavailable when one is not.
        """
        ...
