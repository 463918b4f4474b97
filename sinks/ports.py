"""The ports of a commit: the interfaces that every sink and publisher implements.

Terms: a lane is a worker's task that processes one partition's batches in order. The ledger has a row for each event
whose first attempt failed. A claim reserves a dead letter for one replay.
"""

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
    """The result of one commit.

    It has the counts, the failures, the keys that are now certainly persisted, the gate windows (counts by minute), and
    the number of events of each sender class that became rows.
    """

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
    """The store of offsets, ledger, keys, events and windows. Each lane has its own; tasks do not share one.

    Every method raises SinkUnavailable when the store fails for reasons that do not lie in an event.
    """

    silent: bool
    """Whether a method is waiting for a store that does not answer."""

    async def logs(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, KnownLog]:
        """Return the current log of each partition, as recorded by any group.

        A partition that was never read is missing.
        """
        ...

    async def claim(
        self, beginnings: Mapping[TopicPartition, int], cluster: str | None = None
    ) -> dict[TopicPartition, int]:
        """Create missing offset rows at the log's beginning, record this worker as owner, return the stored offsets.

        `beginnings` has the first offset of each log. A log whose cluster is not recorded gets `cluster`.
        """
        ...

    async def hold(self, source: TopicPartition, why: str) -> None:
        """Record, for operators, why this worker does not read the partition.

        The next claim or commit removes the reason.
        """
        ...

    async def lose(self, source: TopicPartition, beginning: int) -> int:
        """Record the records between the stored offset and the log's beginning as lost; return their number."""
        ...

    async def stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the stored offsets, without a lock; a partition without a row is missing from the answer."""
        ...

    async def ledger(self, provenances: Sequence[Provenance], *, bodies: bool = False) -> dict[Provenance, LedgerState]:
        """Return the ledger's rows of these raw events, without a lock. `bodies` adds the bodies of waiting events.

        A small record may name many rows. Bodies are therefore read only for records that carry a body of their own.
        """
        ...

    async def due(self, now_ms: int, scope: Scope, limit: int) -> list[Waiting]:
        """Return at most `limit` raw events whose next attempt is due, the longest due first, without a lock."""
        ...

    async def keep_claims(self) -> bool:
        """Keep others from claiming, releasing and discarding dead letters until `release_claims`.

        Closing the connection has the same effect as `release_claims`.
        """
        ...

    async def release_claims(self) -> bool:
        """Release the lock of `keep_claims`."""
        ...

    async def commit(self, outcomes: Sequence[Outcomes]) -> CommitResult:
        """Write everything in one transaction.

        Raises BatchRefused when a stored offset or a ledger row has changed since the outcomes were computed, and
        RowRejected when the store refuses a row because of its content. In both cases nothing is written.
        """
        ...

    async def rejected(self, outcomes: Sequence[Outcomes]) -> list[Rejected]:
        """Return the candidates that the store refuses.

        It finds them by bisection, in a transaction that it rolls back.
        """
        ...

    async def brake(self) -> BreakerState:
        """Return the circuit breaker's state, without a lock."""
        ...

    async def engage(self, cause: BreakerCause) -> BreakerState:
        """Trip the breaker, unless it is open already or an operator has let it pass; return the resulting state."""
        ...

    async def probed(self, *, passed: bool) -> bool:
        """Record a probe (a trial commit while the breaker is open); reset the breaker if the probe passed.

        Return whether the breaker was reset. A breaker that an operator tripped stays open.
        """
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...

    def abandon(self) -> None:
        """Close the connection without waiting for the server; every call that waits for an answer fails."""
        ...


class Publisher(Protocol):
    """Publishes retry records and dead letters."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        """Publish a copy of each failure that has none on its topic yet, and mark the failure as published.

        If Kafka refuses a copy because of its content, the publisher omits more and more of the copy's parts. If Kafka
        accepts none of these copies, the failure's `refused` has the reason. Returns when every other copy is
        acknowledged; raises SinkUnavailable when one is not.
        """
        ...
